"""A policy's weights: which they are, and a vLLM server of them for the length of a stage."""

import hashlib
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from codepmp_client.guarded import guarded
from reward_model.release.hub import locate
from reward_model.release.release import ReleaseError, sha256
from trainer.pipeline.stage import MANIFEST, StageError
from trainer.synthesis.completions import (
    Completions,
    LlmConfig,
    complete_all,
    is_answered,
    ledger_path,
)
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.requests import Prompt

# Written by a gate: which policy the next round starts from.
POINTER = "policy.json"


@dataclass(frozen=True)
class ServerConfig:
    """How a policy is served for the length of a stage, where its endpoint has no URL.

    Attributes:
        python: an interpreter that has vLLM. Environment variables in it are filled in.
        max_model_len: tokens of a prompt with its answer.
        options: further options of vLLM's server.
        start_seconds: after which a server that does not answer has failed.
    """

    python: str = ".venv-vllm/bin/python"
    dtype: str = "bfloat16"
    max_model_len: int = 2048
    max_num_seqs: int = 32
    # vLLM on a CPU crashes when it prefills a prompt in chunks and the request has a seed.
    options: tuple[str, ...] = ("--enforce-eager", "--no-enable-chunked-prefill")
    start_seconds: float = 600.0


@dataclass(frozen=True)
class Weights:
    """The identity of a policy: its folder and the digests of weights and template.

    Attributes:
        folder: its checkpoint.
        digest: sha256 over its weight files, with their names.
        template: sha256 of its chat template; empty if it has none.
    """

    folder: Path
    digest: str
    template: str


def find_policy(name: str, inputs: Path) -> Path:
    """The folder of a policy: of a stage, of the policy that a gate accepted, or of a hub id.

    Raises:
        StageError: it is none of these.
    """
    stage = inputs / name
    if (stage / POINTER).is_file():
        return find_policy(json.loads((stage / POINTER).read_text())["policy"], inputs)
    if (stage / MANIFEST).is_file():
        return stage
    try:
        return locate(name)
    except ReleaseError as error:
        raise StageError(f"no stage {name} below {inputs} has finished; {error}") from error


def identify(folder: Path) -> Weights:
    """The digests of a checkpoint.

    Raises:
        StageError: it has no weights in safetensors.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise StageError(f"{folder} has no *.safetensors: name the checkpoint of a language model")
    weights = hashlib.sha256()
    for file in files:
        weights.update(f"{file.name} {sha256(file)}\n".encode())
    template = ""
    if (folder / "chat_template.jinja").is_file():
        template = (folder / "chat_template.jinja").read_text("utf-8")
    elif (folder / "tokenizer_config.json").is_file():
        config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        template = json.dumps(config.get("chat_template") or "")
    hashed = hashlib.sha256(template.encode()).hexdigest() if template not in ("", '""') else ""
    return Weights(folder, weights.hexdigest(), hashed)


def complete_by(
    prompts: Sequence[Prompt],
    llm: LlmConfig,
    weights: Weights | None,
    server: ServerConfig,
    output: Path,
) -> Completions:
    """All completions of a stage by its policy, in as many runs as it takes.

    They are kept in `<output>-answers`. A server starts only if one is missing.

    Raises:
        StageError: see `served` and `complete_all`.
    """
    llm = replace(llm, endpoint=endpoint_of(llm.endpoint, weights))
    ledger = ledger_path(output)
    if is_answered(prompts, llm, ledger):
        return complete_all(prompts, llm, ledger)
    with served(llm.endpoint, weights, server, output.with_name(f"{output.name}-server.log")) as at:
        return complete_all(prompts, replace(llm, endpoint=at), ledger)


def endpoint_of(endpoint: EndpointConfig, weights: Weights | None) -> EndpointConfig:
    """The endpoint with the weights' digest as its revision.

    So no answer of another policy is ever taken for one of this.
    """
    if weights and not endpoint.revision:
        return replace(endpoint, revision=weights.digest[:32])
    return endpoint


@contextmanager
def served(
    endpoint: EndpointConfig, weights: Weights | None, server: ServerConfig, log: Path
) -> Iterator[EndpointConfig]:
    """An endpoint that answers: the given one, or without a URL a server of these weights.

    Args:
        log: file for the server's own log.

    Raises:
        StageError: there is nothing to serve, or the server does not start.
    """
    endpoint = endpoint_of(endpoint, weights)
    if endpoint.url:
        yield endpoint
        return
    if not weights:
        raise StageError(
            "the endpoint has no URL and no policy is named: set llm.endpoint.url to where the "
            "policy is served, or policy to the checkpoint that is to be served here"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = _start(weights.folder, endpoint.model, server, port, log)
    with guarded(process, seconds=30):
        _wait_until_ready(process, port, server.start_seconds, log)
        yield replace(endpoint, url=f"http://127.0.0.1:{port}/v1")


def _start(
    folder: Path, name: str, server: ServerConfig, port: int, log: Path
) -> "subprocess.Popen[bytes]":
    python = os.path.expandvars(server.python)
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", name, "--dtype", server.dtype]
    command += ["--max-model-len", str(server.max_model_len)]
    command += ["--max-num-seqs", str(server.max_num_seqs), *server.options]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    # On a CPU vLLM asks how much memory its cache may take, and keeps a core for itself.
    quiet |= {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("wb") as stream:
            return subprocess.Popen(
                command,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=quiet | os.environ,
            )
    except OSError as error:
        raise StageError(
            f"{python}, which is to serve the policy, does not run ({error.strerror}): run "
            "scripts/install-vllm, or set server.python to an interpreter that has vLLM"
        ) from error


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", port: int, seconds: float, log: Path
) -> None:
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        address = f"http://127.0.0.1:{port}/health"
        with suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.5)
    ended = process.returncode
    how = f"ended with {ended}" if ended is not None else f"did not answer in {seconds:g} s"
    raise StageError(f"the policy's server {how}: {log} is its log")
