"""The kernel for matrix units, compiled with their operations in plain C, so that it runs here."""

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

from reward_model.cpu.matrix_units import Bf16x3Kernel

ROOT = Path(__file__).resolve().parents[3]
KERNELS = ROOT / "reward_model" / "cpu" / "kernels"

COMPILER = shutil.which("cc") or ""
needs_compiler = pytest.mark.skipif(not COMPILER, reason="no C compiler here")


@cache
def emulated_kernel() -> Bf16x3Kernel:
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "bf16x3.emulated.so"
        compile_library(KERNELS / "bf16x3.c", library, "-DEMULATED_TILES")
        return Bf16x3Kernel(library)


def compile_library(source: Path, library: Path, *options: str) -> None:
    """With the flags of `scripts/build-kernels`, for the processor at hand."""
    flags = ["-std=gnu11", "-O2", "-march=native", "-ffp-contract=fast", "-fno-math-errno"]
    flags += ["-fno-trapping-math", "-Wall", "-Wextra", "-Wno-psabi", "-shared"]
    flags += ["-fPIC", "-fvisibility=hidden", f"-I{KERNELS}", *options]
    subprocess.run([COMPILER, *flags, str(source), "-o", str(library)], check=True)
