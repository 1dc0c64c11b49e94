"""The circumstances of a figure: the machine, the versions, the command."""

import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

# Instructions that decide how fast products of matrices are, by Linux's names for them.
_MULTIPLIERS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "sve")

_PACKAGES = ("torch", "transformers", "tokenizers", "fastapi", "uvicorn")


def hardware() -> str:
    """Processor, cores, torch's threads and memory; the GPU too where there is one."""
    memory = psutil.virtual_memory().total / 1e9
    parts = [
        processor(Path("/proc/cpuinfo")),
        f"{os.cpu_count()} cores",
        f"{torch.get_num_threads()} threads",
        f"{memory:.0f} GB of memory",
    ]
    if gpu := gpu_name():
        parts.append(gpu)
    return ", ".join(parts)


def gpu_name() -> str | None:
    """CUDA's name of its device; None where PyTorch finds none that it can use."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def versions() -> dict[str, str]:
    """Python, and the packages that a speed or a score depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def command() -> str:
    """The command line, as it can be given again from the checkout."""
    spec = sys.modules["__main__"].__spec__
    program = f"python -m {spec.name.removesuffix('.__main__')}" if spec else Path(sys.argv[0]).name
    return " ".join([program, *(shlex.quote(public(argument)) for argument in sys.argv[1:])])


def public(argument: str) -> str:
    """Absolute paths by their last part: where things lie on one machine is nobody's business."""
    flag, equals, value = argument.rpartition("=")
    return f"{flag}{equals}{Path(value).name}" if value.startswith("/") else argument


def processor(cpuinfo: Path) -> str:
    """The first processor of Linux's file about them: name, generation, what it multiplies by.

    Clouds call many generations by one name, so family and model say which it is.
    """
    try:
        text = cpuinfo.read_text()
    except OSError:
        text = ""
    fields = {}
    for line in text.partition("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    flags = fields.get("flags", "").split()
    facts = [f"{name} {fields[name]}" for name in ("cpu family", "model") if name in fields]
    facts += [flag for flag in _MULTIPLIERS if flag in flags]
    name = fields.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({', '.join(facts)})" if facts else name
