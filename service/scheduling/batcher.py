"""Runs queued jobs on engine threads. Jobs are submitted and answered on the event loop.

A thread takes its next batch itself, at the moment it becomes free. So the engine never waits for
the event loop, and a batch holds everything that arrived until it starts. There are as many threads
as the engine takes batches side by side: one for an engine that computes one after the other.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from reward_model.packing import new_tokens
from service.engines.engine import Engine
from service.errors import DeadlineExceeded, ItemError
from service.scheduling.isolation import score_isolated
from service.scheduling.queue import Job, JobQueue, JobResult

_log = logging.getLogger(__name__)

_ABORTED = ItemError("engine_error", "the engine stopped before it scored this: send it again")


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch that ran.

    Attributes:
        sequences: the number of sequences.
        tokens: tokens computed for them.
        seconds: how long the engine had the batch.
        admitted_tokens: tokens that admission had reserved for the batch.
        busy_seconds: seconds since the batch before ended, or since there was work again. They
            contain the time between two batches, which also limits the throughput.
        splits: how often the batch was split to fit into memory.
        concurrent_batches: batches that the engine had when this one ended, itself included.
    """

    sequences: int
    tokens: int
    seconds: float
    admitted_tokens: int = 0
    busy_seconds: float = 0.0
    splits: int = 0
    concurrent_batches: int = 1


class Batcher:
    """Lives on the event loop that made it.

    Args:
        engine: scores batches; a fault of it costs only the jobs that cause it.
        queue: the policy. It is only touched with the lock held.
        threads: an executor with one thread for each batch in flight. This batcher occupies all of
            them until it is closed.
        report: called on the event loop after each batch.
        died: called on the event loop with the reason when the engine says that it is dead.
        clock: seconds; comparable with `Job.queued_at` and `Job.deadline`.
    """

    def __init__(
        self,
        engine: Engine,
        queue: JobQueue,
        threads: Executor,
        *,
        report: Callable[[BatchReport], None] = lambda _: None,
        died: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._report = report
        self._died = died
        self._clock = clock
        # The lock of everything below, and the signal that there is something new to do.
        self._changed = threading.Condition()
        self._closing = False
        self._aborted = False
        self._running: dict[int, tuple[float, list[Job]]] = {}
        self._ended_at = -math.inf
        self._loop = asyncio.get_running_loop()
        self._workers = [
            self._loop.run_in_executor(threads, self._work)
            for _ in range(engine.batching.batches_in_flight)
        ]

    def submit(self, jobs: list[Job]) -> None:
        """Queue jobs; each `answer` is resolved exactly once, whatever happens."""
        with self._changed:
            if not self._aborted:
                assert not self._closing, "nothing is submitted after close"
                self._queue.push(jobs)
                # All threads wake up, because one batch may not hold all jobs.
                self._changed.notify_all()
                return
        _answer_all(jobs, _ABORTED)

    @property
    def running_for(self) -> float:
        """Seconds since the engine got its oldest batch; 0 while it has none or is aborted."""
        with self._changed:
            begun = [] if self._aborted else [started for started, _ in self._running.values()]
        return self._clock() - min(begun) if begun else 0.0

    def abort(self) -> None:
        """Answer everything that runs or waits with an error, and take no more: the engine failed.

        A thread may still come back from a hung engine, but its answers are too late.
        """
        with self._changed:
            self._aborted = self._closing = True
            jobs = [job for _, batch in self._running.values() for job in batch]
            jobs += self._queue.take_all()
            self._changed.notify_all()
        _answer_all(jobs, _ABORTED)

    async def close(self) -> None:
        """Run everything submitted, then let the engine threads go."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        await asyncio.gather(*self._workers)

    def _work(self) -> None:
        """Run on each engine thread: one batch after the other."""
        try:
            while batch := self._next_batch():
                self._run(batch)
        except BaseException as fault:  # noqa: BLE001 - whatever ends the thread must be noticed
            if self._loop.is_closed():
                return  # An engine that hung came back after the service had ended.
            _log.exception("a batch thread ended: %s", type(fault).__name__)
            # Without it jobs would wait for ever, so it is as if the engine had died.
            reason = f"The thread that runs its batches ended: {type(fault).__name__}."
            self._loop.call_soon_threadsafe(self._died, reason)

    def _next_batch(self) -> list[Job]:
        """Wait for the next batch; an empty one says that the batcher is closed and all is done."""
        with self._changed:
            while True:
                now = self._clock()
                wait = self._queue.due_in(now)
                # When closing, nothing more comes that would be worth waiting for.
                if wait <= 0 or (self._closing and wait < math.inf):
                    batch = self._queue.take(now)
                    if expired := self._queue.take_expired():
                        self._loop.call_soon_threadsafe(_expire_all, expired)
                    if batch:
                        self._running[id(batch)] = now, batch
                        return batch
                elif self._closing:
                    return []
                else:
                    # A longer wait than the system can count is as good as one without end.
                    self._changed.wait(None if wait > threading.TIMEOUT_MAX else wait)

    def _run(self, batch: list[Job]) -> None:
        sequences = [job.sequence for job in batch]
        computed = new_tokens(sequences, shares_prefixes=self._engine.facts.shares_prefixes)
        started_at = self._clock()

        def next_attempt() -> bool:
            # What hangs is a single attempt, so each has a clock of its own.
            with self._changed:
                self._running[id(batch)] = self._clock(), batch
                return not self._aborted

        scores = score_isolated(
            self._engine, sequences, next_attempt=next_attempt, clock=self._clock
        )
        if scores.died is not None:
            self._loop.call_soon_threadsafe(self._died, scores.died)
        finished_at = self._clock()
        for job, tokens in zip(batch, computed, strict=True):
            job.computed_tokens = tokens
            job.started_at, job.finished_at = started_at, finished_at
        with self._changed:
            concurrent_batches = len(self._running)
            del self._running[id(batch)]
            busy_since = max(self._ended_at, min(job.queued_at for job in batch))
            self._ended_at = finished_at
            self._queue.note_ran(batch, finished_at - started_at)
        report = BatchReport(
            sequences=len(batch),
            tokens=sum(computed),
            seconds=finished_at - started_at,
            admitted_tokens=sum(job.reserved_tokens for job in batch),
            # Another thread's batch may have ended after this one had started.
            busy_seconds=finished_at - min(busy_since, started_at),
            splits=scores.splits,
            concurrent_batches=concurrent_batches,
        )
        self._loop.call_soon_threadsafe(self._deliver, batch, scores.results, report)

    def _deliver(self, batch: list[Job], results: list[JobResult], report: BatchReport) -> None:
        for job, result in zip(batch, results, strict=True):
            if not job.answer.done():  # It is done if the client left or the batcher was aborted.
                job.answer.set_result(result)
        self._report(report)


def _answer_all(jobs: list[Job], result: JobResult) -> None:
    for job in jobs:
        if not job.answer.done():
            job.answer.set_result(result)


def _expire_all(jobs: list[Job]) -> None:
    for job in jobs:
        if not job.answer.done():
            job.answer.set_exception(DeadlineExceeded("timeout_ms passed before a score was made"))
