"""Tells on standard error how a run goes on: a bar at a terminal, else a line now and then."""

import sys
import time
from dataclasses import dataclass, field
from typing import NoReturn, TextIO

from tqdm import tqdm

# Seconds between two lines where standard error is no terminal.
LINE_SECONDS = 30.0


@dataclass(slots=True)
class Progress:
    """Notes and progress of one command.

    Args:
        command: stands before each line.
        quiet: leaves out everything.
        noun: what is counted.
    """

    command: str
    quiet: bool = False
    noun: str = "rows"
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    rows: int = 0
    total: int | None = None
    began: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)
    _told_rows: int = 0
    _bar: "tqdm[NoReturn] | None" = None

    def note(self, text: str) -> None:
        """Tell a sentence, above the bar if there is one."""
        if self.quiet:
            return
        line = f"codepmp-score {self.command}: {text}"
        if self._bar is not None:
            self._bar.write(line, file=self.stream)
        else:
            self.stream.write(line + "\n")
            self.stream.flush()

    def expect(self, rows: int | None) -> None:
        """Set the estimated total of rows; None where it is not known."""
        self.total = rows

    def advance(self, rows: int) -> None:
        """Count rows that are done, and show the progress."""
        self.rows += rows
        if self.quiet:
            return
        if self.stream.isatty():
            bar = self._bar
            if bar is None:
                bar = tqdm(unit=f" {self.noun}", file=self.stream, dynamic_ncols=True)
                self._bar = bar
            bar.total = self.total
            bar.update(rows)
        elif time.monotonic() - self._told >= LINE_SECONDS:
            self.note(self._line())
            self._told, self._told_rows = time.monotonic(), self.rows

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def _line(self) -> str:
        # Since the last line: rows of an earlier run are done in no time, and would flatter it.
        rate = (self.rows - self._told_rows) / max(time.monotonic() - self._told, 1e-9)
        text = f"{self.rows:,} {self.noun}, {rate_text(rate)}"
        if self.total is not None and rate > 0:
            left = max(0, self.total - self.rows) / rate
            text += f", of about {self.total:,}; about {tqdm.format_interval(left)} left"
        return text


def rate_text(rate: float) -> str:
    """Format a rate, below ten a second with two digits."""
    return f"{rate:,.0f} a second" if rate >= 10 else f"{rate:.2g} a second"
