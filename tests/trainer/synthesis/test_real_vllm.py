"""The whole way with vLLM itself, serving models that were trained a minute before.

It has an environment of its own: scripts/test-vllm.
"""

import shutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from trainer.corpus import gather
from trainer.corpus.gather import CorpusConfig
from trainer.feedback import prefix_completions, prefixes, samples
from trainer.feedback.prefix_completions import PrefixCompletionsConfig
from trainer.feedback.prefixes import PrefixesConfig, read_prefixes
from trainer.feedback.problem import STEM, Problem
from trainer.feedback.sample import read_samples
from trainer.feedback.samples import SamplesConfig
from trainer.feedback.serving import ServerConfig, identify, served
from trainer.pairs import make
from trainer.pairs.make import PairsConfig
from trainer.pairs.row import SPLITS, read_pairs
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import manifest_hash, read_manifest, writing_stage
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
    """The base URL of a server of this checkpoint, which ends with the block."""
    server = ServerConfig(sys.executable, "float32", max_model_len=1024, max_num_seqs=64)
    with served(
        EndpointConfig("", name), identify(model), server, model.parent / f"{name}.log"
    ) as endpoint:
        yield endpoint.url


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


def test_samples_carry_the_exact_ids_and_log_probabilities_of_the_policy(work: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    problems = [Problem(f"p{number}", "g", "math", f"Add {number}.") for number in range(3)]
    llm = replace(
        ask("", "policy", 20, samples=2), sampling=Sampling(1.0, max_tokens=20, samples=2)
    )
    server = ServerConfig(sys.executable, "float32", max_model_len=1024)
    config = SamplesConfig(llm, policy="strong_lm", server=server)
    with writing_stage(config, work / "problems") as draft:
        write_shards(draft.path, STEM, problems, 10)
    samples.run(config, work, work / "samples")
    found = read_samples(work / "samples")
    assert [(each.problem, each.number) for each in found] == [
        (problem.id, number) for problem in problems for number in range(2)
    ]
    model = AutoModelForCausalLM.from_pretrained(work / "strong_lm", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(work / "strong_lm")
    for each in found:
        assert each.sampler.weights == identify(work / "strong_lm").digest
        assert tokenizer.decode(list(each.token_ids), skip_special_tokens=True) == each.text
        ids = torch.tensor([each.prompt_ids + each.token_ids])
        with torch.no_grad():
            logits = model(ids).logits[0, len(each.prompt_ids) - 1 : -1]
        expected = logits.log_softmax(-1)[range(len(each.token_ids)), list(each.token_ids)]
        assert torch.allclose(expected, torch.tensor(each.log_probs), atol=1e-3)


def test_prefixes_are_completed_from_their_exact_ids_or_as_a_continued_message(work: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    server = ServerConfig(sys.executable, "float32", max_model_len=1024)
    with served(
        EndpointConfig("", "policy"), identify(work / "strong_lm"), server, work / "policy.log"
    ) as endpoint:
        llm = LlmConfig(endpoint, Sampling(1.0, max_tokens=80, samples=4))
        problem = Problem("p", "p", "function", "Add two.", "add", "def add(a, b):")
        with writing_stage(problem, work / "few") as draft:
            write_shards(draft.path, STEM, [problem], 10)
        sampling = SamplesConfig(llm, policy="strong_lm", problems="few")
        samples.run(sampling, work, work / "whole")
        cutting = PrefixesConfig(samples="whole", problems="few", tokenizer="strong_lm", share=1.0)
        prefixes.run(cutting, work, work / "prefixes")
        exact = replace(llm, endpoint=replace(endpoint, route="completions"))
        for name, asked in (("exact", exact), ("continued", llm)):
            completing = PrefixCompletionsConfig(
                replace(asked, sampling=Sampling(1.0, max_tokens=20, samples=2)), "strong_lm"
            )
            prefix_completions.run(completing, work, work / name)
    begun = {prefix.id: prefix for prefix in read_prefixes(work / "prefixes")}
    assert all(prefix.token_ids for prefix in begun.values())
    for each in read_samples(work / "continued"):
        assert each.text.startswith(begun[each.prefix].text.rstrip())
    model = AutoModelForCausalLM.from_pretrained(work / "strong_lm", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(work / "strong_lm")
    found = read_samples(work / "exact")
    assert len(found) == 2 * len(begun)
    for each in found:
        prefix = begun[each.prefix]
        assert each.prompt_ids == prefix.prompt_ids
        assert each.token_ids[: len(prefix.token_ids)] == prefix.token_ids
        assert tokenizer.decode(list(each.token_ids), skip_special_tokens=True) == each.text
        ids = torch.tensor([each.prompt_ids + each.token_ids])
        with torch.no_grad():
            logits = model(ids).logits[0, len(each.prompt_ids) - 1 : -1]
        expected = logits.log_softmax(-1)[range(len(each.token_ids)), list(each.token_ids)]
        assert torch.allclose(expected, torch.tensor(each.log_probs), atol=1e-3)
