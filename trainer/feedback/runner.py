"""Runs programs on inputs, several times each, in as many runs of a stage as it takes.

All stages that execute programs do it this way. This module knows neither samples nor votes.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Never

from trainer.feedback.program_runs import InputRun
from trainer.feedback.programs import ProgramJob, output_text
from trainer.feedback.run_ledger import RecordedRun, RunLedger, run_key
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Sandbox, Status
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.stage import StageError, bookkeeping


@dataclass(frozen=True)
class RunSettings:
    """How programs are run.

    Attributes:
        repeats: runs of a program on each input. Two or more find outputs that depend on chance or
            on the load of the machine.
        max_timeouts: after time-outs on this many inputs, a program is not run on further ones and
            counts as timed out on them too. None runs it on all: an endless loop then takes the
            whole limit on each.
        max_retries: retries of a run that the sandbox failed to make.
        max_consecutive_failures: after this many, with no outcome between them, the stage stops.
    """

    limits: Limits = field(default_factory=Limits)
    repeats: int = 2
    max_timeouts: int | None = None
    max_retries: int = bookkeeping(2)
    max_consecutive_failures: int = bookkeeping(50)

    def __post_init__(self) -> None:
        """Raise StageError for limits that would run nothing."""
        if self.repeats < 1 or (self.max_timeouts is not None and self.max_timeouts < 1):
            raise StageError("repeats and max_timeouts must be at least 1, or max_timeouts null")


@dataclass(frozen=True)
class Repeat:
    """One repeat of a job: the keys of its runs, and their outcomes as far as they are known."""

    job: ProgramJob
    keys: tuple[str, ...]
    known: tuple[RecordedRun | None, ...]


class ProgramRunner:
    """Runs jobs in a sandbox, and knows what earlier runs of the stage found.

    Attributes:
        failures: runs that the sandbox failed to make, by what it said.
    """

    def __init__(self, settings: RunSettings, sandbox: Sandbox, ledger: RunLedger) -> None:
        self.failures: Counter[str] = Counter()
        self._settings = settings
        self._sandbox = sandbox
        self._ledger = ledger
        self._statuses: Counter[str] = Counter()
        self._consecutive_failures = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()  # of the ledger, the counts and the bar

    def run_missing(self, jobs: Sequence[ProgramJob]) -> None:
        """Make every run that the ledger has no outcome of.

        Raises:
            StageError: the sandbox failed many times in a row, or made no run at all, or the ledger
                cannot be written. Outcomes so far are kept.
        """
        # All programs once, then all of them again: two runs that are minutes apart show more of
        # what depends on time and load than two in a row.
        numbers = range(self._settings.repeats)
        repeats = [self._repeat(job, number) for number in numbers for job in jobs]
        missing = [each for each in repeats if None in self._until_timeouts(each.known)]
        if not missing:
            return
        waiting = iter(missing)  # all threads share it: each takes the next one when it is free
        total = sum(len(each.keys) for each in repeats)
        done = total - sum(each.known.count(None) for each in missing)
        bar = ProgressBar[Never](
            total=total, initial=done, desc="runs", unit=" runs", mininterval=0.5
        )

        def work() -> None:
            try:
                for each in waiting:
                    for _ in self._until_timeouts(self._make(each, bar)):
                        if self._stop.is_set():
                            return
            except BaseException:
                self._stop.set()
                raise

        with bar, ThreadPoolExecutor(self._sandbox.workers) as pool:
            threads = [pool.submit(work) for _ in range(self._sandbox.workers)]
            try:
                for thread in threads:
                    thread.result()
            finally:
                self._stop.set()  # after an error or an interruption no further run begins
        if bar.n == 0:
            raise StageError(
                f"the sandbox made none of {total} runs ({dict(self.failures)}): see what "
                "`python -m trainer sandbox` says, then run this stage again"
            )

    def outcomes(self, job: ProgramJob) -> tuple[InputRun, ...]:
        """What the job's program did on each input, as far as the ledger knows."""
        skipped = RecordedRun(Status.TIMEOUT, error="not run after other time-outs")
        missing = RecordedRun(Status.INFRASTRUCTURE)
        repeats: list[list[RecordedRun]] = []
        for number in range(self._settings.repeats):
            runs = [run or missing for run in self._until_timeouts(self._repeat(job, number).known)]
            repeats.append(runs + [skipped] * (len(job.inputs) - len(runs)))
        return tuple(
            InputRun(
                statuses=tuple(run.status for run in runs),
                outputs=tuple(run.output for run in runs),
                cpu_seconds=round(sum(run.cpu_seconds for run in runs), 4),
                peak_memory=max(run.peak_memory for run in runs),
            )
            for runs in zip(*repeats, strict=True)
        )

    def _repeat(self, job: ProgramJob, number: int) -> Repeat:
        limits, isolation = self._settings.limits, self._sandbox.isolation
        keys = tuple(run_key(job, each, limits, number, isolation) for each in job.inputs)
        return Repeat(job, keys, tuple(self._ledger.find(key) for key in keys))

    def _until_timeouts(self, runs: Iterable[RecordedRun | None]) -> Iterator[RecordedRun | None]:
        """The runs of one repeat up to the time-out that ends it."""
        timeouts = 0
        for run in runs:
            yield run
            timeouts += run is not None and run.status is Status.TIMEOUT
            if timeouts == self._settings.max_timeouts:
                return

    def _make(self, repeat: Repeat, bar: "ProgressBar[Never]") -> Iterator[RecordedRun]:
        """The runs of a repeat; those that are missing are made now."""
        for key, input_, known in zip(repeat.keys, repeat.job.inputs, repeat.known, strict=True):
            if known:
                yield known
                continue
            run = recorded(repeat.job, self._attempt(repeat.job.program, input_))
            # The thread keeps its own outcome, so a kill loses no more than the runs in flight.
            with self._lock:
                self._keep(key, run, bar)
            yield run

    def _attempt(self, program: Program, input_: Input) -> Outcome:
        """One run; made again if the sandbox failed, and after some failures given up."""
        for _ in range(self._settings.max_retries + 1):
            (outcome,) = self._sandbox.run(program, [input_], self._settings.limits)
            if outcome.status is not Status.INFRASTRUCTURE or self._stop.is_set():
                break
        return outcome

    def _keep(self, key: str, run: RecordedRun, bar: "ProgressBar[Never]") -> None:
        """Append an outcome to the ledger, or count a failure."""
        if run.status is not Status.INFRASTRUCTURE:
            self._ledger.append(key, run)
            self._consecutive_failures = 0
            self._statuses[run.status] += 1
            bar.set_postfix(dict(self._statuses), refresh=False)
            bar.update()
            return
        self.failures[run.error] += 1
        self._consecutive_failures += 1
        if self._consecutive_failures >= self._settings.max_consecutive_failures:
            raise StageError(
                f"the sandbox failed to make {self._consecutive_failures} runs in a row, the last "
                f"with {run.error!r}: see what `python -m trainer sandbox` says, then run this "
                "stage again. Outcomes so far are kept"
            )


def recorded(job: ProgramJob, outcome: Outcome) -> RecordedRun:
    """What the ledger keeps of an outcome."""
    status, text, error = outcome.status, "", outcome.error
    if status is Status.OK:
        try:
            text = output_text(job, outcome)
        except ValueError as reason:
            # Nothing to compare or to vote for came back, so the run did not end well.
            status, error = Status.EXCEPTION, f"no output that can be compared: {reason}"
    return RecordedRun(status, text, error[:200], outcome.cpu_seconds, outcome.peak_memory)
