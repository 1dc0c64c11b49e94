"""Isolated runs a second: our sandbox, bubblewrap for each run, and plain subprocesses.

    python -m benchmarks.sandbox --data ../shared/data/mbpp [--write]

All three take turns, so that a machine that slows down slows all of them. A run is a program of one
line, or a reference solution of MBPP with one of its asserts. Runs a second of CPU time are told
beside those of wall time, because other work on the machine takes from the latter alone.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.harness.page import Cell, Page, add_output_options, verdict
from benchmarks.harness.stats import Ratio, ratio
from benchmarks.inputs.mbpp import read_problems
from trainer.feedback.sandbox.bubblewrap import BubblewrapSandbox
from trainer.feedback.sandbox.types import Input, Limits, Program, Status

RUNS_AIM, RATIO_AIM, LINEAR_AIM, SLOWER_AIM = 120.0, 5.0, 1.8, 1.1
_TRIVIAL = "print(6 * 7)"
_OURS, _BWRAP, _PLAIN = "sandbox", "bubblewrap for each run", "plain subprocess"
_NEIGHBOUR = "print(sum(i * i for i in range(300_000)))"
_CANARIES = {
    "nothing": "",
    "a loop": "while True: pass",
    "a fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "a gigabyte of output": "while True: print('x' * 65536)",
    "a memory bomb": "rows = []\nwhile True: rows.append(bytearray(b'x' * (1 << 20)))",
    "threads": "import threading\ndef spin():\n    while True: pass\n"
    "for _ in range(12): threading.Thread(target=spin).start()",
    "files": "for n in range(10**6):\n    open(f'/tmp/{n % 99}', 'wb').write(b'x' * 99_999)",
}


@dataclass(frozen=True)
class SandboxTurn:
    """One turn of one way of running, with all programs."""

    way: str
    programs: str
    runs: int
    wall_seconds: float
    cpu_seconds: float

    @property
    def by_wall(self) -> float:
        return self.runs / self.wall_seconds

    @property
    def by_cpu(self) -> float:
        return self.runs / self.cpu_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of mbpp.jsonl.gz")
    parser.add_argument("--runs", type=int, default=100, help="programs of a turn")
    parser.add_argument("--turns", type=int, default=5)
    add_output_options(parser)
    options = parser.parse_args()
    page = Page("sandbox", "Programs behind walls")
    problems = read_problems(options.data)[: options.runs]
    solutions = [f"{each.reference}\n{each.setup}\n{each.asserts[0]}" for each in problems]
    sets = {"one line": [_TRIVIAL] * options.runs, "MBPP": solutions}
    with BubblewrapSandbox(1) as sandbox:
        ways: dict[str, Callable[[str], bool]] = {
            _OURS: lambda code: _isolated(sandbox, code),
            _BWRAP: lambda code: _subprocess([*_walls(), *_python(), code]),
            _PLAIN: lambda code: _subprocess([*_python(), code]),
        }
        turns = [
            _turn(way, run, name, programs)
            for _ in range(options.turns)
            for name, programs in sets.items()
            for way, run in ways.items()
        ]
    scaling = [
        _scaling(workers, sets["one line"]) for _ in range(options.turns) for workers in (1, 2)
    ]
    slower = _neighbours(options.turns)
    _report(page, turns, scaling, slower)
    page.write(options)


def _isolated(sandbox: BubblewrapSandbox, code: str) -> bool:
    (outcome,) = sandbox.run(Program(code), [Input()], Limits())
    return outcome.status is Status.OK


def _subprocess(command: list[str]) -> bool:
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return run.returncode == 0


def _walls() -> list[str]:
    """The command line that people use for one program, with the same walls around it."""
    bwrap = shutil.which("bwrap")
    assert bwrap
    return [
        *(bwrap, "--unshare-all", "--new-session", "--die-with-parent", "--cap-drop", "ALL"),
        *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),  # noqa: S108
    ]


def _python() -> list[str]:
    return [getattr(sys, "_base_executable", sys.executable), "-I", "-S", "-B", "-c"]


def _turn(way: str, run: Callable[[str], bool], name: str, programs: list[str]) -> SandboxTurn:
    used, started = _cpu_seconds(), time.perf_counter()
    passed = sum(map(run, programs))
    wall = time.perf_counter() - started
    if passed < 0.97 * len(programs):  # two of MBPP's solutions need modules that are not there
        sys.exit(f"benchmarks.sandbox: {way} ran {passed} of {len(programs)} programs well")
    return SandboxTurn(way, name, len(programs), wall, _cpu_seconds() - used)


def _cpu_seconds() -> float:
    """CPU seconds of this process and its descendants, those included that have ended."""
    own = psutil.Process()
    return sum(sum(each.cpu_times()[:4]) for each in (own, *own.children(recursive=True)))


def _scaling(workers: int, programs: list[str]) -> SandboxTurn:
    """Time one worker and two: each makes the same number of runs, at the same time."""
    with BubblewrapSandbox(workers) as sandbox, ThreadPoolExecutor(workers) as threads:
        work = programs * workers

        def all_at_once(_: str) -> bool:
            return all(threads.map(lambda code: _isolated(sandbox, code), work))

        used, started = _cpu_seconds(), time.perf_counter()
        assert all_at_once("")
        wall = time.perf_counter() - started
        return SandboxTurn(str(workers), "one line", len(work), wall, _cpu_seconds() - used)


def _neighbours(turns: int) -> dict[str, list[float]]:
    """CPU seconds of a usual program while another worker runs a canary over and over."""
    limits = Limits(cpu_seconds=0.5, wall_seconds=5.0)
    seconds: dict[str, list[float]] = {name: [] for name in _CANARIES}
    with BubblewrapSandbox(2) as sandbox, ThreadPoolExecutor(1) as beside:
        for _ in range(turns):
            for name, code in _CANARIES.items():
                attack = (
                    beside.submit(sandbox.run, Program(code), [Input()], limits) if code else None
                )
                runs = 0
                measured = []
                while runs < 5 or (attack and not attack.done() and runs < 40):
                    (outcome,) = sandbox.run(Program(_NEIGHBOUR), [Input()], Limits())
                    assert outcome.status is Status.OK, outcome
                    measured.append(outcome.cpu_seconds)
                    runs += 1
                seconds[name].append(statistics.median(measured))
                if attack:
                    attack.result()
    return seconds


def _report(
    page: Page, turns: list[SandboxTurn], scaling: list[SandboxTurn], slower: dict[str, list[float]]
) -> None:
    page.say(
        "One worker, so one core. Every run of the sandbox has namespaces, a tmpfs and limits of "
        "its own; bubblewrap for each run starts an interpreter behind new walls; a plain "
        "subprocess has none. The ways take turns; figures are medians over turns, in brackets "
        "their range. CPU time of bubblewrap's own children is not known, because it does not wait "
        "for them."
    )
    rows: list[list[Cell]] = []
    for name in dict.fromkeys(each.programs for each in turns):
        for way in dict.fromkeys(each.way for each in turns):
            mine = list(_of(turns, way, name))
            ours = list(_of(turns, _OURS, name))
            wall = statistics.median(each.by_wall for each in mine)
            cpu = statistics.median(each.by_cpu for each in mine)
            times = ratio([each.by_wall for each in ours], [each.by_wall for each in mine])
            known = "" if way == _BWRAP else f"{cpu:.3g}"
            rows.append([name, way, wall, known, str(times)])
    page.table(
        ["programs", "way", "runs/s", "runs/s of CPU time", "sandbox is so many times as fast"],
        rows,
    )
    beside = {
        name: ratio(values, slower["nothing"])
        for name, values in slower.items()
        if name != "nothing"
    }
    _report_aims(page, turns, scaling, beside)
    page.say("CPU time of a usual program, while a canary runs beside it in another worker:")
    page.table(
        ["canary", "times as much"],
        [[name, str(value)] for name, value in beside.items()],
    )
    page.facts = {
        "turns": [asdict(each) for each in turns],
        "scaling": [asdict(each) for each in scaling],
        "neighbour_cpu_seconds": slower,
    }


def _report_aims(
    page: Page,
    turns: list[SandboxTurn],
    scaling: list[SandboxTurn],
    beside: Mapping[str, Ratio],
) -> None:
    one, two = (list(_of(scaling, name, "one line")) for name in ("1", "2"))
    linear = ratio([each.by_wall for each in two], [each.by_wall for each in one])
    best = statistics.median(each.by_wall for each in _of(turns, _OURS, "one line"))
    each_run = ratio(
        [each.by_wall for each in _of(turns, _OURS, "one line")],
        [each.by_wall for each in _of(turns, _BWRAP, "one line")],
    )
    worst = max(value.median for value in beside.values())
    page.table(
        ["aim", "measured", ""],
        [
            [f"{RUNS_AIM:.0f} runs/s on a core", best, verdict(best >= RUNS_AIM)],
            [
                f"{RATIO_AIM:.0f} times bubblewrap for each run",
                str(each_run),
                verdict(each_run.median >= RATIO_AIM),
            ],
            [
                f"two workers: {LINEAR_AIM} times one",
                str(linear),
                verdict(linear.median >= LINEAR_AIM),
            ],
            [
                f"a neighbour of canaries: {SLOWER_AIM} times its CPU time",
                worst,
                verdict(worst <= SLOWER_AIM),
            ],
        ],
    )


def _of(turns: list[SandboxTurn], way: str, programs: str) -> Iterator[SandboxTurn]:
    return (each for each in turns if (each.way, each.programs) == (way, programs))


if __name__ == "__main__":
    main()
