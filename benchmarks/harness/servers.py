"""How each server that is measured is started, from the same checkpoint."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.processes import SERVED, Launch

_HOST = ("--host", "127.0.0.1")
_VLLM_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "4",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
_NAME_VERSIONS = """
from importlib.metadata import distributions
found = {each.name: each.version for each in distributions()}
names = [name for name in sorted(found) if name in ("torch", "transformers", "vllm", "vllm-cpu")]
print(", ".join(f"{name} {found[name]}" for name in names))
"""


def ours(
    model: str | None, device: str = "auto", dtype: str = "auto", checkout: Path | None = None
) -> Launch:
    """`python -m service` of this checkout, or of another one, for a comparison with it.

    Serves the default release when `model` is None.
    """
    # -P: the folder we stand in is this checkout, and would come before the other one.
    python = (sys.executable, "-P") if checkout else (sys.executable,)
    command = (*python, "-m", "service", *_HOST, "--log-level", "warning")
    served = ("--model", model) if model else ()
    environment = {**SERVED, "PYTHONPATH": str(checkout)} if checkout else SERVED
    options = ("--device", device, "--dtype", dtype)
    return Launch((*command, *options, *served), "/readyz", environment)


def naive(model: Path, device: str, dtype: str) -> Launch:
    """The naive server, as one would write it in an afternoon."""
    program = (sys.executable, "-m", "benchmarks.serving.naive_server", *_HOST)
    options = ("--model", str(model), "--device", device, "--dtype", dtype)
    return Launch((*program, *options), ready="/health")


def vllm(python: Path, model: Path, dtype: str, max_tokens: int) -> Launch:
    """vLLM's server in an environment of its own; `python` is that environment's interpreter.

    On a CPU vLLM keeps one core for its scheduler unless it is told which to use; here it computes
    on all of them, as the others do. A variable that is set already is left as it is.
    """
    module = (str(python), "-m", "vllm.entrypoints.openai.api_server", *_HOST)
    pooling = ("--runner", "pooling", "--convert", "classify")
    options = ("--model", str(model), "--dtype", dtype, "--max-model-len", str(max_tokens))
    command = (*module, *pooling, *options)
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    environment = {**_VLLM_ENVIRONMENT, "VLLM_CPU_OMP_THREADS_BIND": cores}
    return Launch(command, "/health", environment, patience=600)


def vllm_versions(python: Path) -> str:
    """Versions of vLLM, torch and transformers in vLLM's own environment."""
    command = [str(python), "-c", _NAME_VERSIONS]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
