"""The library with AMX instructions, as it is shipped, on a processor that may have none.

Each instruction is caught and emulated (`amx_trap.c`), so this shows that they are the right ones
in the right order, and nothing about their speed.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reward_model.cpu.matrix_units import Bf16x3Kernel, compiled_libraries
from tests.reward_model.cpu.emulation import compile_library, emulated_kernel, needs_compiler

LIBRARIES = compiled_libraries()

pytestmark = [
    needs_compiler,
    pytest.mark.skipif(not LIBRARIES, reason="the kernel is not compiled here"),
]


DISASSEMBLER = shutil.which("objdump") or ""


@pytest.mark.skipif(not DISASSEMBLER, reason="no objdump here")
def test_the_library_holds_the_unit_s_instructions() -> None:
    code = subprocess.run(
        [DISASSEMBLER, "-d", str(LIBRARIES[0])], capture_output=True, text=True, check=True
    ).stdout
    # Three products of 2 x 2 tiles in each step, and nothing is left switched on.
    assert len(re.findall(r"\ttdpbf16ps ", code)) == 12
    assert len(re.findall(r"\ttileloadd ", code)) == 8
    assert len(re.findall(r"\ttilestored ", code)) == 4
    assert "\tldtilecfg " in code
    assert "\ttilerelease" in code


PROGRAM = """
import sys
from pathlib import Path
import torch
from reward_model.cpu.matrix_units import Bf16x3Kernel

torch.set_num_threads(2)
kernel = Bf16x3Kernel(Path(sys.argv[1]))
rows, weight, other = torch.load(sys.argv[2])
packed = kernel.pack(weight)
product = kernel.multiply(rows, packed, len(weight), None)
torch.save([product, kernel.multiply(rows, packed, len(weight), None, "add", other)], sys.argv[3])
"""


@pytest.mark.skipif(
    platform.machine() != "x86_64" or torch.backends.cpu.get_cpu_capability() != "AVX512",
    reason="a processor without AVX-512 cannot run the library's other instructions",
)
def test_its_results_are_those_of_the_emulated_one_bit_for_bit(tmp_path: Path) -> None:
    trap = tmp_path / "amx_trap.so"
    compile_library(Path(__file__).with_name("amx_trap.c"), trap)
    torch.manual_seed(0)
    rows, weight, other = torch.randn(70, 75), torch.randn(45, 75), torch.randn(70, 45)
    rows[3, 5], rows[40, 1] = float("nan"), float("inf")
    torch.save([rows, weight, other], tmp_path / "given.pt")
    # Where the processor has the unit, nothing is caught, and its own results are compared.
    subprocess.run(
        [sys.executable, "-c", PROGRAM, LIBRARIES[0], tmp_path / "given.pt", tmp_path / "made.pt"],
        env=os.environ | {"LD_PRELOAD": str(trap)},
        check=True,
    )
    kernel: Bf16x3Kernel = emulated_kernel()
    packed = kernel.pack(weight)
    product, added = torch.load(tmp_path / "made.pt")
    expected = kernel.multiply(rows, packed, len(weight), None)
    torch.testing.assert_close(product, expected, rtol=0, atol=0, equal_nan=True)
    expected = kernel.multiply(rows, packed, len(weight), None, "add", other)
    torch.testing.assert_close(added, expected, rtol=0, atol=0, equal_nan=True)
