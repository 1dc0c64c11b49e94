"""Runs parts one after the other, each in a process of its own and each bounded in time.

A part yields rows. Each row reaches the parent at once and is written at once, so a part that is
killed, a fault of CUDA that poisons its process, or a machine that goes away costs the rest of one
part and nothing that was measured before.
"""

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

from benchmarks.gpu_day.scale import Scale

Row = dict[str, str | int | float]
"""One line of a part's table. The column `met` says whether a check held."""

_MIN_SECONDS = 5.0
"""A part that would have less time than this is not begun."""

_GRACE_SECONDS = 15.0
"""How long a part may take to stop what it started, before it is killed."""


class Skipped(Exception):
    """A part cannot run here; the message says why and what it needs."""


@dataclass(frozen=True)
class Setting:
    """The settings of a part.

    Attributes:
        ends_at: when the part must have ended, in `time.monotonic()` seconds.
        data: folder with `candidates/`; None takes this repository's own texts.
        work: a recipe's work folder, in which its data lies; None skips training it.
        found: rows of the parts before this one, by the part's name.
    """

    scale: Scale
    out: Path
    ends_at: float
    data: Path | None = None
    work: Path | None = None
    recipe: str = ""
    found: dict[str, list[Row]] = field(default_factory=dict)

    @property
    def seconds_left(self) -> float:
        return self.ends_at - time.monotonic()


@dataclass(frozen=True)
class Part:
    """One thing to find out.

    Attributes:
        says: what its table shows, for the page.
        seconds: the most that it may take.
        repeats: whether it is an earlier part in another size, which a dry run leaves out.
    """

    name: str
    says: str
    seconds: float
    run: Callable[[Setting], Iterator[Row]]
    repeats: bool = False


@dataclass
class Outcome:
    """The result of a part, and how it ended."""

    name: str
    says: str
    rows: list[Row] = field(default_factory=list)
    ended: str = "running"
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether it ended well and all its checks held."""
        fine = self.ended == "done" or self.ended.startswith("skipped")
        return fine and all(row.get("met", "met") == "met" for row in self.rows)

    def record(self) -> dict[str, object]:
        return asdict(self)


def run_parts(
    parts: Sequence[Part],
    setting: Setting,
    write: Callable[[list[Outcome]], None],
    preload: Sequence[str] = (),
) -> list[Outcome]:
    """Run the parts in order until the time of `setting` is over.

    Args:
        write: called with all outcomes so far whenever one of them has changed.
        preload: modules that a part would otherwise import anew.
    """
    context = _context(preload)
    outcomes: list[Outcome] = []
    for part in parts:
        outcome = Outcome(part.name, part.says)
        outcomes.append(outcome)
        write(outcomes)
        if setting.seconds_left < _MIN_SECONDS:
            outcome.ended = "skipped: no time was left"
        else:
            ends_at = min(setting.ends_at, time.monotonic() + part.seconds)
            receiver, sender = context.Pipe(duplex=False)
            told = replace(setting, ends_at=ends_at, found={o.name: o.rows for o in outcomes})
            child = context.Process(target=_run_part, args=(part, told, sender))
            began = time.monotonic()
            child.start()
            sender.close()  # the end of the pipe is then the end of the child
            for message in _messages(receiver, ends_at):
                if isinstance(message, str):
                    outcome.ended = message
                else:
                    outcome.rows.append(message)
                    print(f"{part.name}: {message}", flush=True)
                outcome.seconds = round(time.monotonic() - began, 1)
                write(outcomes)
            if outcome.ended == "running":
                late = time.monotonic() >= ends_at
                # A process that died of a signal has sent nothing about it.
                outcome.ended = f"stopped after {part.seconds:.0f} s" if late else "died"
            _end(child)
        print(f"{part.name}: {outcome.ended} ({outcome.seconds:.0f} s)", flush=True)
        write(outcomes)
    return outcomes


def _context(preload: Sequence[str]) -> ForkServerContext | SpawnContext:
    """Children that start in milliseconds, or, where those could not use CUDA, in seconds.

    The first are forked from a process that has imported everything. CUDA works in a forked process
    only if the process that was forked has never asked for it, which libraries do when imported.
    """
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # so that asking for a GPU does not count
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload(list(preload))
    probe = forked.Process(target=_exit_unless_clean)
    probe.start()
    probe.join()
    return forked if probe.exitcode == 0 else multiprocessing.get_context("spawn")


def _exit_unless_clean() -> None:
    torch = sys.modules.get("torch")
    if torch and (torch.cuda.is_initialized() or torch.cuda._is_in_bad_fork()):
        sys.exit(1)


def _messages(receiver: "Connection[object, Row | str]", ends_at: float) -> Iterator[Row | str]:
    """Rows of a part and how it ended, until it has or its time is over."""
    with receiver, suppress(EOFError):
        while receiver.poll(max(0.0, ends_at - time.monotonic())):
            yield receiver.recv()


def _run_part(part: Part, setting: Setting, sender: "Connection[Row | str, object]") -> None:
    """Run in the child."""
    try:
        for row in part.run(setting):
            sender.send(row)
        sender.send("done")
    except Skipped as reason:
        sender.send(f"skipped: {reason}")
    except Exception as error:  # noqa: BLE001 - whatever fails here must not cost the other parts
        traceback.print_exc()
        sender.send(f"failed: {type(error).__name__}: {str(error).strip()[-500:]}")


def _end(child: BaseProcess) -> None:
    """Ask the part to stop what it started, and kill whatever is left of it."""
    assert child.pid is not None
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(child.pid).children(recursive=True)
    child.join(0.5)
    if child.is_alive():
        child.terminate()
    child.join(_GRACE_SECONDS)
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    if child.is_alive():
        child.kill()
        child.join()
