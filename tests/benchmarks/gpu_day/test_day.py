"""Whatever becomes of a part, what was measured before is written."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.gpu_day.day import Outcome, Part, Row, Setting, Skipped, run_parts
from benchmarks.gpu_day.page import Circumstances, render
from benchmarks.gpu_day.scale import TOY


def good(setting: Setting) -> Iterator[Row]:
    yield {"found": len(setting.found), "met": "met"}


def hangs(_: Setting) -> Iterator[Row]:
    yield {"row": 1}
    time.sleep(600)
    yield {"row": 2}


def fails(_: Setting) -> Iterator[Row]:
    yield {"row": 1}
    raise RuntimeError("CUDA error")


def dies(_: Setting) -> Iterator[Row]:
    yield {"row": 1}
    os.kill(os.getpid(), signal.SIGKILL)


def skips(it: Setting) -> Iterator[Row]:
    if it.work is None:
        raise Skipped("it needs a wheel")
    yield {}


def setting(folder: Path, seconds: float) -> Setting:
    return Setting(TOY, folder, time.monotonic() + seconds)


def test_a_part_that_hangs_fails_or_dies_costs_no_other_part(tmp_path: Path) -> None:
    written: list[list[Outcome]] = []
    parts = [
        Part("hangs", "", 4.0, hangs),
        Part("fails", "", 30.0, fails),
        Part("dies", "", 30.0, dies),
        Part("skips", "", 30.0, skips),
        Part("good", "", 30.0, good),
    ]
    outcomes = run_parts(
        parts, setting(tmp_path, 120), lambda o: written.append(list(o)), preload=[__name__]
    )
    assert [outcome.ended for outcome in outcomes] == [
        "stopped after 4 s",
        "failed: RuntimeError: CUDA error",
        "died",
        "skipped: it needs a wheel",
        "done",
    ]
    assert [outcome.rows for outcome in outcomes[:3]] == [[{"row": 1}]] * 3
    assert outcomes[4].rows == [{"found": 5, "met": "met"}]
    assert [outcome.held for outcome in outcomes] == [False, False, False, True, True]
    assert len(written) > len(parts)


def test_when_the_time_is_over_the_rest_is_skipped(tmp_path: Path) -> None:
    (outcome,) = run_parts([Part("good", "", 30.0, good)], setting(tmp_path, 1), lambda _: None)
    assert outcome.ended == "skipped: no time was left"


@pytest.mark.parametrize(("met", "held"), [("met", True), ("**not met**", False)])
def test_a_check_that_does_not_hold_is_told(met: str, held: bool) -> None:
    outcome = Outcome("parity", "What it shows.", [{"gap": 0.5, "met": met}, {"new": 12345.0}])
    outcome.ended = "done"
    assert outcome.held == held
    page = render(Circumstances("2026-01-01", "python", "a GPU", {"torch": "2"}, 0.5), [outcome])
    assert f"| gap | met | new |\n| --- | --- | --- |\n| 0.5 | {met} |  |\n|  |  | 12,345 |" in page
