"""The progress of a long loop: a bar in a terminal, and a line now and then in a log or a pipe."""

import io
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar, cast

from tqdm import tqdm

T = TypeVar("T")

QUIET = "TQDM_DISABLE"
"""Variable of the environment that switches progress off, for worker processes as well."""


# At run time tqdm is no generic type, as it is in its stub.
class ProgressBar(tqdm, Generic[T]):  # type: ignore[type-arg]
    """tqdm's bar where standard error is a terminal; elsewhere whole lines, for a log.

    A loop that ends within `seconds` prints no line.

    Args:
        disable: None shows progress as False does. (tqdm itself would show none in a log.)
        seconds: between two lines.
    """

    def __init__(
        self,
        iterable: Iterable[T] | None = None,
        *,
        desc: str | None = None,
        total: float | None = None,
        unit: str = "it",
        unit_scale: bool = False,
        initial: int = 0,
        leave: bool = True,
        disable: bool | None = False,
        mininterval: float = 0.1,
        dynamic_ncols: bool = False,
        seconds: float = 30.0,
    ) -> None:
        # What tqdm itself writes is lost in a log, where `display` prints instead.
        self._log = None if sys.stderr.isatty() else sys.stderr
        self._seconds = seconds
        self._last, self._lines, self._ending = time.monotonic(), 0, False
        self._began = initial
        self._quiet = bool(disable) or os.environ.get(QUIET, "") not in ("", "0")
        super().__init__(
            iterable,
            desc=desc,
            total=total,
            unit=unit,
            unit_scale=unit_scale,
            initial=initial,
            leave=leave,
            disable=self._quiet,
            mininterval=mininterval,
            dynamic_ncols=dynamic_ncols,
            file=None if self._log is None else io.StringIO(),
        )

    def __iter__(self) -> Iterator[T]:
        return cast(Iterator[T], super().__iter__())

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Draw the bar; or print a line, if enough time has passed since the last one."""
        if self._log is None:
            super().display(msg, pos)
            return
        # The last line tells how long it took, if the loop was long enough for any.
        waited = time.monotonic() - self._last
        due = bool(self._lines) if self._ending else waited >= self._seconds
        if due and msg is None:  # an empty one is to clear the bar
            self.show()

    def show(self) -> None:
        """Show how far it is, however short ago that was shown; for news that matter."""
        if self._quiet:
            return
        if self._log is None:
            self.refresh()
            return
        self._last = time.monotonic()
        self._lines += 1
        print(self._line(), file=self._log, flush=True)

    def close(self) -> None:
        self._ending = True
        super().close()

    def _line(self) -> str:
        facts = self.format_dict
        unit = facts["unit"].strip()
        amount = tqdm.format_sizeof if facts["unit_scale"] else "{:,.0f}".format
        done, total, seconds = facts["n"], facts["total"], facts["elapsed"]
        rate = facts["rate"] or (done - self._began) / max(seconds, 1e-9)
        parts = [f"{amount(done)} {unit}"]
        if total:
            parts = [f"{amount(done)} of {amount(total)} {unit} ({done / total:.0%})"]
        parts.append(f"{rate:.3g} {unit}/s")
        parts.append(f"took {tqdm.format_interval(seconds)}")
        if total and rate and not self._ending:
            parts[-1] = f"{tqdm.format_interval(max(total - done, 0) / rate)} left"
        if facts["postfix"]:
            parts.append(str(facts["postfix"]))
        prefix = (facts["prefix"] or "progress").removesuffix(": ")
        return f"{prefix}: {', '.join(parts)}"
