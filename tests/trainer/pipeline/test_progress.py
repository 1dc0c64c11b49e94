"""A log gets lines, a terminal a bar, and a quiet run neither."""

import os
import pty
import subprocess
import sys
import termios

import pytest

from tests.terminal import read_all
from trainer.pipeline.progress import QUIET, ProgressBar

LOOP = "from trainer.pipeline.progress import ProgressBar\n"
LOOP += "for _ in ProgressBar(range(3), desc='rows', unit=' rows'): pass"


def test_a_log_gets_whole_lines_with_rate_and_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = ProgressBar[int](desc="rows", unit=" rows", total=2000, initial=500, seconds=0)
    bar.update(500)
    bar.set_postfix(failed=3)
    bar.update(1000)
    bar.close()
    printed = capsys.readouterr().err
    assert "\r" not in printed
    lines = printed.splitlines()
    assert lines[0].startswith("rows: 500 of 2,000 rows (25%), ")
    assert any("1,000 of 2,000 rows (50%), " in line and " left" in line for line in lines)
    assert "2,000 of 2,000 rows (100%)" in lines[-1]
    assert lines[-1].endswith("failed=3")
    assert "took 00:0" in lines[-1]


def test_a_loop_of_unknown_length_has_no_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in ProgressBar(iter(range(3)), seconds=0, mininterval=0):
        pass
    lines = capsys.readouterr().err.splitlines()
    assert "3 it, " in lines[-1]
    assert not any("left" in line for line in lines)


def test_a_short_loop_leaves_no_line_in_a_log(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(ProgressBar(range(3), disable=None)) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_news_are_shown_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBar[int](desc="rows", unit=" rows", total=4)
    bar.update(1)
    assert capsys.readouterr().err == ""
    bar.show()
    assert capsys.readouterr().err.startswith("rows: 1 of 4 rows (25%), ")
    bar.close()  # a line was shown, so the last one is as well
    assert ", took 00:00" in capsys.readouterr().err


def test_a_quiet_loop_prints_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(QUIET, "1")
    bar = ProgressBar(range(3), seconds=0)
    assert list(bar) == [0, 1, 2]
    bar.set_postfix(failed=3)
    bar.show()
    bar.close()
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar() -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    subprocess.run([sys.executable, "-c", LOOP], stderr=theirs, check=True)
    os.close(theirs)
    shown = read_all(ours)
    assert "\r" in shown
    assert "100%" in shown
