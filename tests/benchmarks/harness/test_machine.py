from pathlib import Path

from benchmarks.harness.machine import processor

_INTEL = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Processor
flags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile

processor\t: 1
model\t\t: 144
"""


def test_a_processor_is_named_with_its_generation_and_its_multipliers(tmp_path: Path) -> None:
    (file := tmp_path / "cpuinfo").write_text(_INTEL)
    assert processor(file) == (
        "Intel(R) Xeon(R) Processor "
        "(cpu family 6, model 143, avx2, avx512f, avx512_bf16, amx_tile, amx_bf16)"
    )


def test_a_system_without_that_file_still_names_its_processor(tmp_path: Path) -> None:
    assert processor(tmp_path / "absent")
