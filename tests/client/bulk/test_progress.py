"""What a person is told while a command runs."""

import io
import os
import pty
import termios

import pytest

from codepmp_client.bulk import progress
from codepmp_client.bulk.progress import Progress
from tests.terminal import read_all


def test_where_there_is_no_terminal_a_line_comes_now_and_then() -> None:
    stream = io.StringIO()
    told = Progress("rows", stream=stream)
    told.expect(1000)
    told.advance(10)
    assert stream.getvalue() == "", "the first line comes after half a minute"
    told._told -= progress.LINE_SECONDS
    told.advance(290)
    told.advance(1)
    assert stream.getvalue().startswith("codepmp-score rows: 300 rows, 10 a second, of about 1,000")
    assert "about 01:" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_a_terminal_has_a_bar_and_notes_above_it() -> None:
    main, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    with os.fdopen(terminal, "w") as stream:
        told = Progress("rows", stream=stream)
        told.expect(40)
        told.advance(10)
        told.note("line 3 is broken")
        told.close()
    shown = read_all(main)
    assert "25%" in shown
    assert "codepmp-score rows: line 3 is broken\r\n" in shown


@pytest.mark.parametrize("total", [None, 5])
def test_quiet_is_quiet(total: int | None) -> None:
    stream = io.StringIO()
    told = Progress("rows", quiet=True, stream=stream)
    told.expect(total)
    told._told -= progress.LINE_SECONDS
    told.advance(5)
    told.note("something")
    told.close()
    assert stream.getvalue() == ""
