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
    began: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)
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

    def advance(self, rows: int, share: float | None) -> None:
        """So many more rows are done, and this share of the input up to 1, if it is known."""
        self.rows += rows
        if self.quiet:
            return
        # The number of rows is not known before the last one is read.
        total = round(self.rows / share) if share else None
        if self.stream.isatty():
            bar = self._bar
            if bar is None:
                bar = tqdm(total=total, unit=f" {self.noun}", file=self.stream, dynamic_ncols=True)
                self._bar = bar
            bar.total = total
            bar.update(rows)
        elif time.monotonic() - self._told >= LINE_SECONDS:
            self._told = time.monotonic()
            self.note(self._line(total))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def _line(self, total: int | None) -> str:
        rate = self.rows / max(self.seconds, 1e-9)
        text = f"{self.rows:,} {self.noun}, {rate:,.0f} a second"
        if total is not None:
            left = (total - self.rows) / max(rate, 1e-9)
            text += f", of about {total:,}; about {tqdm.format_interval(left)} left"
        return text
