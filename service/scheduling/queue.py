"""Which job runs next: the whole scheduling policy, without threads, clocks, torch or HTTP.

Interactive jobs go before bulk jobs. A batch holds the job of its kind that waited longest, and is
filled up to a budget of *new* tokens, where a shared prefix counts once. Where prefixes are shared,
relatives go together (`grouping`), among the `WINDOW` that waited longest: every batch takes the
first of them, so no job starves. While interactive work comes, bulk work runs in batches about as
short as interactive ones (`bulk_limit`).
"""

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal, get_args

from reward_model.packing import Sequence, new_tokens
from service.errors import ItemError
from service.scheduling.bulk_limit import BulkThrottle
from service.scheduling.grouping import PrefixGrouping

Priority = Literal["interactive", "bulk"]
WINDOW = 256
"""Jobs among which relatives are looked for."""

WINDOW_BATCHES = 16
"""Batches' worth of them at most: relatives that go first must not make others late."""

JobResult = tuple[float, ...] | ItemError

PRIORITIES: tuple[Priority, ...] = get_args(Priority)


@dataclass(slots=True, eq=False)
class Job:
    """One sequence to score, with its own clock (seconds; all times are on the batcher's clock).

    Attributes:
        answer: resolves to the raw scores at the read positions, or to an error.
        reserved_tokens: new tokens that admission counts for it.
        computed_tokens: tokens that the engine worked through for it, known once it ran.
    """

    sequence: Sequence
    priority: Priority
    answer: "asyncio.Future[JobResult]"
    queued_at: float
    deadline: float = math.inf
    reserved_tokens: int = 0
    started_at: float = field(default=math.nan, init=False)
    finished_at: float = field(default=math.nan, init=False)
    computed_tokens: int = field(default=0, init=False)

    @property
    def tokens(self) -> int:
        return len(self.sequence.ids)


class JobQueue:
    """Jobs that wait.

    Args:
        batch_tokens: budget of new tokens per batch; a job larger than it leads its own.
        max_tokens: what a batch may hold rather than tear close relatives apart; unless told, no
            more than any other.
        max_wait: seconds the first job may wait for company while the budget is not reached.
        bulk_patience: seconds that waiting bulk work gets no turn before it leads one batch.
        shares_prefixes: whether the engine computes a shared prefix once.
    """

    def __init__(
        self,
        *,
        batch_tokens: int,
        max_wait: float,
        bulk_patience: float,
        shares_prefixes: bool,
        max_tokens: int | None = None,
    ) -> None:
        self._batch_tokens = batch_tokens
        self._max_wait = max_wait
        self._bulk_patience = bulk_patience
        self._grouping = (
            PrefixGrouping(batch_tokens, max_tokens or batch_tokens) if shares_prefixes else None
        )
        self._bulk_throttle = BulkThrottle(batch_tokens)
        self._interactive: deque[Job] = deque()
        self._bulk: deque[Job] = deque()
        self._bulk_ran_at = -math.inf
        self._tokens = 0
        self._expired: list[Job] = []

    def __len__(self) -> int:
        return len(self._interactive) + len(self._bulk)

    def push(self, job: Job) -> None:
        if job.priority == "interactive":
            self._interactive.append(job)
            self._bulk_throttle.interactive_came(job.queued_at)
        else:
            self._bulk.append(job)
        self._tokens += job.tokens

    def due_in(self, now: float) -> float:
        """Seconds until the next batch should be taken: infinite while nothing waits."""
        heads = [lane[0].queued_at for lane in (self._interactive, self._bulk) if lane]
        if not heads:
            return math.inf
        if self._tokens >= self._batch_tokens:
            return 0.0
        return max(0.0, min(heads) + self._max_wait - now)

    def take(self, now: float) -> list[Job]:
        """The next batch; empty when everything that waited was abandoned or has expired.

        When the first of one lane does not fit any more, the other lane may fill what is left.
        """
        batch: list[Job] = []
        for lane in self._lanes_in_order(now):
            throttled = lane is self._bulk and self._bulk_throttle.active(now)
            budget = self._bulk_throttle.max_tokens if throttled else self._batch_tokens
            while window := self._window(lane, now):
                room = budget - self._cost(batch)
                group = self._group(window, room, leads=not batch, keeps=not throttled)
                batch += group
                if rest := [job for job in window if job not in group]:
                    self._put_back(lane, rest)
                    break
        if any(job.priority == "bulk" for job in batch):
            self._bulk_ran_at = now
        return batch

    def note_ran(self, batch: list[Job], seconds: float) -> None:
        """Learn how long a batch took; `computed_tokens` of its jobs is known by now."""
        if any(job.priority == "bulk" for job in batch):
            self._bulk_throttle.bulk_ran(sum(job.computed_tokens for job in batch), seconds)
        else:
            self._bulk_throttle.interactive_ran(seconds)

    def take_all(self) -> list[Job]:
        """Everything that waits; nothing does afterwards."""
        waiting = [*self._interactive, *self._bulk]
        self._interactive.clear()
        self._bulk.clear()
        self._tokens = 0
        return waiting

    def take_expired(self) -> list[Job]:
        """Jobs dropped because their deadline passed, to be answered; each is returned once."""
        expired, self._expired = self._expired, []
        return expired

    def _lanes_in_order(self, now: float) -> tuple[deque[Job], deque[Job]]:
        if self._bulk:
            waits_since = max(self._bulk[0].queued_at, self._bulk_ran_at)
            if now >= waits_since + self._bulk_patience:
                return self._bulk, self._interactive
        return self._interactive, self._bulk

    def _window(self, lane: deque[Job], now: float) -> list[Job]:
        """Takes the lane's first jobs that somebody still awaits; the others before them go."""
        window: list[Job] = []
        held = 0
        while lane and len(window) < WINDOW and held < WINDOW_BATCHES * self._batch_tokens:
            job = self._pop(lane)
            if job.answer.done():
                continue
            if job.deadline <= now:
                self._expired.append(job)
                continue
            window.append(job)
            held += job.reserved_tokens
        return window

    def _group(self, window: list[Job], room: int, *, leads: bool, keeps: bool) -> list[Job]:
        """What of the window goes into a batch; what leads it goes though it be larger."""
        if self._grouping:
            texts = [job.sequence for job in window]
            taken = self._grouping.gather(texts, room, leads=leads, keeps=keeps)
            return [window[index] for index in taken]
        if leads:
            room = max(room, window[0].tokens)
        ends = accumulate(job.tokens for job in window)
        return [job for job, end in zip(window, ends, strict=True) if end <= room]

    def _cost(self, batch: list[Job]) -> int:
        if self._grouping:
            return sum(new_tokens([job.sequence for job in batch]))
        return sum(job.tokens for job in batch)

    def _put_back(self, lane: deque[Job], jobs: list[Job]) -> None:
        lane.extendleft(reversed(jobs))
        self._tokens += sum(job.tokens for job in jobs)

    def _pop(self, lane: deque[Job]) -> Job:
        job = lane.popleft()
        self._tokens -= job.tokens
        return job
