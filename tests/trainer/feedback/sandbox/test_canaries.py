"""Each canary attacks the sandbox in its own way: none passes, and none leaves anything behind."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.bubblewrap import needs_bubblewrap
from tests.trainer.feedback.sandbox.attacks import (
    ARGUMENTS,
    CHEATS,
    EXPECTED,
    HOGS,
    PROBES,
    QUICK,
    probe,
)
from trainer.feedback.grading import Grader
from trainer.feedback.pass_count import Verdict
from trainer.feedback.problem import AssertTest, CallTest, Problem
from trainer.feedback.sandbox.bubblewrap import BubblewrapSandbox
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Sandbox, Status

pytestmark = needs_bubblewrap

NAME = "walls-of-the-sandbox"
PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/")  # noqa: S108 - they are only looked at
# Other programs of this machine mount, too, such as builds of images.
MOUNTED = ("/jail", "/newroot", "/oldroot", "bwrap", NAME)


@dataclass(frozen=True)
class Traces:
    """What an attack could leave behind on this machine."""

    processes: frozenset[int]
    mounts: frozenset[str]
    files: frozenset[str]

    @classmethod
    def now(cls) -> "Traces":
        processes = psutil.Process().children(recursive=True)
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        names = {str(path) for place in PLACES for path in Path(place).glob(f"*{NAME}*")}
        return cls(
            frozenset(each.pid for each in processes),
            frozenset(line for line in mounts if any(place in line for place in MOUNTED)),
            frozenset(names),
        )


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    os.environ["WALLS_API_KEY"] = NAME  # which no worker may inherit
    with BubblewrapSandbox(1) as sandbox:
        yield sandbox
    del os.environ["WALLS_API_KEY"]


def attacked(sandbox: Sandbox, code: str, limits: Limits = QUICK) -> Outcome:
    """What comes of an attack; afterwards the same worker serves the next run, and nothing else."""
    before = Traces.now()
    program = Program(code, entry_point="square")
    (outcome,) = sandbox.run(program, [Input(arguments=ARGUMENTS)], limits)
    assert outcome.status is not Status.INFRASTRUCTURE, outcome.error
    assert Traces.now() == before
    solution = Program("def square(x):\n    return x * x", entry_point="square")
    (neighbour,) = sandbox.run(solution, [Input(arguments=ARGUMENTS)], Limits())
    assert (neighbour.status, neighbour.value) == (Status.OK, EXPECTED)
    return outcome


@pytest.mark.parametrize("name", CHEATS)
def test_no_cheat_passes(sandbox: Sandbox, name: str) -> None:
    outcome = attacked(sandbox, CHEATS[name])
    assert (outcome.status, outcome.value) != (Status.OK, EXPECTED)


SQUARE = Problem(
    "square",
    "square",
    "function",
    "Square a number.",
    entry_point="square",
    setup="import math",
    tests=(
        CallTest("(7,)", "49"),
        AssertTest("assert square(7) == 49"),
        AssertTest("assert math.isclose(square(7), 49.0)"),
        AssertTest("assert sorted([square(7), square(1)])[1] == 49"),
        AssertTest("def check(candidate):\n    assert candidate(7) == 49\n\ncheck(square)"),
    ),
)


@pytest.mark.parametrize("name", CHEATS)
def test_no_cheat_is_graded_as_right(sandbox: Sandbox, name: str) -> None:
    verdicts = Grader(sandbox, QUICK, max_timeouts=1).grade(SQUARE, CHEATS[name])
    assert len(verdicts) == len(SQUARE.tests)
    assert not set(verdicts) & {Verdict.OK, Verdict.INFRASTRUCTURE}


def test_a_solution_is_graded_as_right(sandbox: Sandbox) -> None:
    verdicts = Grader(sandbox, QUICK).grade(SQUARE, "def square(x):\n    return x * x")
    assert set(verdicts) == {Verdict.OK}


@pytest.mark.parametrize("name", HOGS)
def test_no_hog_takes_more_than_its_limits(sandbox: Sandbox, name: str) -> None:
    code, statuses = HOGS[name]
    outcome = attacked(sandbox, code)
    assert outcome.status in statuses, outcome.error
    assert len(outcome.stdout) <= QUICK.output_bytes
    assert outcome.cpu_seconds < 4 * QUICK.cpu_seconds


def test_shared_memory_is_a_folder_of_the_run_alone(sandbox: Sandbox) -> None:
    left = Program("open('/dev/shm/left', 'w').write('x')")
    look = Program("import os; print(os.path.samefile('/dev/shm', '.'), os.listdir('/dev/shm'))")
    for program, printed in ((left, ""), (look, "True []\n")):
        (outcome,) = sandbox.run(program, [Input()], Limits())
        assert (outcome.status, outcome.stdout) == (Status.OK, printed)


@pytest.mark.parametrize("name", PROBES)
def test_no_probe_reaches_anything(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("expected: 49")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as named,
    ):
        abstract.bind("\0" + NAME)
        abstract.listen()
        named.bind(str(tmp_path / "socket"))
        named.listen()
        facts: dict[str, object] = {
            "NAME": NAME,
            "PORT": tcp.getsockname()[1],
            "SECRET": str(secret),
            "SOCKET": str(tmp_path / "socket"),
            "HOME_FOLDER": str(Path.home()),
            "CHECKOUT": str(Path(__file__).parents[4]),
        }
        outcome = attacked(sandbox, probe(name, facts), Limits())
    assert (outcome.status, outcome.value) == (Status.OK, '["list"]'), outcome.error
    assert secret.read_text() == "expected: 49"


DAEMON = """
import os, signal, time
def square(x):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
            if os.fork():
                os._exit(0)
            os.closerange(0, 64)
            time.sleep(1e6)
    return 'wrong'
"""


def test_no_daemon_outlives_its_run(sandbox: Sandbox) -> None:
    """`Traces` compares all processes below this one before and after."""
    assert attacked(sandbox, DAEMON).status is Status.OK
    script = Program(DAEMON + "square(7)\nprint('end')")
    before = Traces.now()
    (outcome,) = sandbox.run(script, [Input()], QUICK)
    assert (outcome.status, outcome.stdout) == (Status.OK, "end\n")
    assert Traces.now() == before


def test_no_run_sees_what_another_one_wrote(sandbox: Sandbox) -> None:
    code = """
import os
def square(x):
    found = os.listdir("/tmp") + os.listdir(".") + os.listdir("/")
    open("/tmp/left", "w").close()
    open("left", "w").close()
    return [name for name in found if "left" in name]
"""
    assert attacked(sandbox, code).value == '["list"]'
    assert attacked(sandbox, code).value == '["list"]'


def test_no_run_changes_the_interpreter_of_the_next(sandbox: Sandbox) -> None:
    code = """
import builtins, linecache, math, re, sys
def square(x):
    seen = [hasattr(builtins, "left"), math.pi == 3]
    seen += ["left" in sys.modules, "left" in linecache.cache]
    builtins.left = sys.modules["left"] = linecache.cache["left"] = math.pi = 3
    re.compile("left")
    sys.setrecursionlimit(50000)
    return seen if sys.getrecursionlimit() == 50000 else "wrong"
"""
    expected = '["list",false,false,false,false]'
    for _ in range(2):
        assert attacked(sandbox, code).value == expected


def test_no_run_keeps_a_core_of_a_neighbour_busy(sandbox: Sandbox) -> None:
    """After a fork bomb is over, none of its processes is there to take time."""
    attacked(sandbox, HOGS["a fork bomb"][0])
    worker = psutil.Process().children(recursive=True)
    before = sum(sum(each.cpu_times()[:2]) for each in worker)
    subprocess.run([sys.executable, "-S", "-c", "sum(range(10**6))"], check=True)
    assert sum(sum(each.cpu_times()[:2]) for each in worker) - before < 0.05
