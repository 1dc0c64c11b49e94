"""The whole way with vLLM itself, serving models that were trained a minute before.

It has an environment of its own: scripts/test-vllm.
"""

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from trainer.corpus import gather
from trainer.corpus.gather import CorpusConfig
from trainer.pairs import make
from trainer.pairs.make import PairsConfig
from trainer.pairs.row import SPLITS, read_pairs
from trainer.pipeline.stage import manifest_hash, read_manifest
from trainer.synthesis import combine, describe, respond
from trainer.synthesis.combine import LlmPairsConfig
from trainer.synthesis.completions import LlmConfig
from trainer.synthesis.describe import DescribeConfig, read_descriptions
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.filters import AnswerLimits
from trainer.synthesis.requests import Sampling
from trainer.synthesis.respond import RespondConfig, read_responses

pytestmark = pytest.mark.skipif(
    find_spec("vllm") is None, reason="vLLM is not installed here; scripts/test-vllm runs these"
)

MODULES = ("statistics", "textwrap", "heapq", "fractions", "difflib", "random", "shlex", "ast")
DESCRIBE, ANSWER = "Describe: {code}", "{request}"
READY_SECONDS = 600


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, and a stronger and a weaker model of it."""
    from trainer.synthesis import generators
    from trainer.synthesis.generators import GeneratorConfig
    from trainer.training.base import BaseConfig
    from trainer.training.pretrain import warm_up

    folder = tmp_path_factory.mktemp("work")
    for module in MODULES:
        target = folder / "src" / module
        target.mkdir(parents=True)
        shutil.copy(Path(sysconfig.get_path("stdlib")) / f"{module}.py", target)
    corpus = CorpusConfig(folders=("src",), standard_library=False, installed=False)
    gather.run(corpus, folder, folder / "corpus")
    held_out = PairsConfig(evaluation_share=0.0, calibration_share=0.0, max_characters=500)
    make.run(held_out, folder, folder / "pairs")
    # vLLM's kernels for a CPU know no heads of less than 32.
    shape = BaseConfig(
        vocab_size=700,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=256,
    )
    for name, steps in (("strong_lm", 160), ("weak_lm", 80)):
        config = GeneratorConfig(shape, warm_up("base", steps, 12, 6e-3), DESCRIBE, ANSWER)
        generators.run(config, folder, folder / name)
    return folder


@contextmanager
def vllm(model: Path, name: str) -> Iterator[str]:
    """The base URL of a server, told that it is ended when the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(model), "--served-model-name", name, "--dtype", "float32"]
    command += ["--max-model-len", "1024", "--max-num-seqs", "64", "--enforce-eager"]
    # vLLM 0.32 on a CPU dies of a prompt read in parts whose request has a seed.
    command += ["--no-enable-chunked-prefill"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    environment = os.environ | quiet | {"VLLM_CPU_KVCACHE_SPACE": "1"}
    with (model.parent / f"{name}.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait(server, port, Path(log.name))
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(60)


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


def ask(url: str, model: str, max_tokens: int, samples: int = 1) -> LlmConfig:
    endpoint = EndpointConfig(url, model, concurrency=32)
    return LlmConfig(endpoint, Sampling(0.3, max_tokens=max_tokens, samples=samples))


def test_pairs_come_out_and_every_stage_is_idempotent(work: Path) -> None:
    with ExitStack() as servers:
        strong = servers.enter_context(vllm(work / "strong_lm", "strong"))
        weak = servers.enter_context(vllm(work / "weak_lm", "weak"))
        described = DescribeConfig(ask(strong, "strong", 40), DESCRIBE, max_snippets=60)
        describe.run(described, work, work / "describe")
        for name, url in (("strong", strong), ("weak", weak)):
            config = RespondConfig(ask(url, name, 120, samples=2), ANSWER)
            respond.run(config, work, work / name)
            before = manifest_hash(work / name)
            respond.run(config, work, work / name)
            assert manifest_hash(work / name) == before
    # The servers are gone, and nothing is asked any more.
    before = manifest_hash(work / "describe")
    describe.run(described, work, work / "describe")
    assert manifest_hash(work / "describe") == before
    descriptions = len(read_descriptions(work / "describe"))
    assert descriptions > 10
    for name in ("strong", "weak"):
        assert len(read_responses(work / name)) == 2 * descriptions
        assert read_manifest(work / name)["usage"]["completion_tokens"] > descriptions
    lenient = AnswerLimits(keep_truncated=True, parses="neither")
    combine.run(LlmPairsConfig(lenient), work, work / "llm_pairs")
    rows = [row for split in SPLITS for row in read_pairs(work / "llm_pairs", split)]
    assert rows
    assert len({row.id for row in rows}) == len(rows)
    assert all(row.rejected for row in rows)


def test_the_stronger_model_is_the_stronger_one(work: Path) -> None:
    """By the loss that both were trained on, where it was lowest."""
    losses = {
        name: [
            entry["loss_lm"] for entry in read_manifest(work / name)["log"] if "loss_lm" in entry
        ]
        for name in ("strong_lm", "weak_lm")
    }
    assert min(losses["strong_lm"]) < min(losses["weak_lm"])
