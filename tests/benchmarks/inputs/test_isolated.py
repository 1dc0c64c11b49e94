"""A program passes by coming to its end, and by nothing else."""

import time
from pathlib import Path

import psutil
import pytest

from benchmarks.inputs.isolated import comes_to_its_end

_PATIENT = 60.0  # seconds; for programs that end by themselves, however busy the machine is


@pytest.mark.parametrize(
    "program",
    [
        "assert sorted([2, 1]) == [1, 2]",
        "print('no line end', end='')",
        "print('ü')",
        "import sys\nassert sys.flags.hash_randomization == 0",
        "import os\nassert 'PATH' not in os.environ\nassert not os.listdir()",
    ],
)
def test_a_program_that_runs_through_passes(program: str) -> None:
    assert comes_to_its_end(program, _PATIENT)


@pytest.mark.parametrize(
    "program",
    [
        "assert False",
        "return",
        "import sys\nsys.exit(0)",
        "import os\nos._exit(0)",
        "import atexit, os\natexit.register(os._exit, 3)",
        "def f():\n    f()\nf()",
        "block = bytearray(4 << 30)",
        "while True:\n    print('x' * 10_000)",
        "open('file', 'wb').write(bytes(8 << 20))",
        "import numpy",
        "input()",
    ],
)
def test_a_program_that_does_not_run_through_fails(program: str) -> None:
    assert not comes_to_its_end(program, _PATIENT)


def test_a_program_that_hangs_fails_when_its_time_is_over() -> None:
    started = time.monotonic()
    assert not comes_to_its_end("import time\ntime.sleep(600)", seconds=1)
    assert time.monotonic() - started < _PATIENT


def test_what_a_program_started_does_not_outlive_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    fork = "import os, time\npid = os.fork()\nif not pid:\n    time.sleep(600)\n"
    if comes_to_its_end(f"{fork}open({str(note)!r}, 'w').write(str(pid))", _PATIENT):
        assert _dies(int(note.read_text()))
    else:
        assert not note.exists()  # users other than root are not even allowed to fork


def _dies(pid: int) -> bool:
    """Within a moment; a zombie, which only waits for its parent to notice, is dead."""
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False
