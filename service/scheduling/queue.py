"""The scheduling policy: which jobs run next. It knows neither threads, clocks, torch nor HTTP.

Interactive jobs go before bulk jobs. A batch holds the job of its priority that has waited longest,
and is filled up to a budget of *new* tokens, where a shared prefix counts once. Where the engine
shares prefixes, relatives go together (`grouping`), but only among the `WINDOW` jobs that have
waited longest: every batch takes the oldest of them, so that no job starves. While interactive
requests come, batches with bulk work are kept about as short as interactive ones (`bulk_limit`).
"""

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, get_args

from reward_model.packing import Sequence, new_tokens
from service.errors import ItemError
from service.scheduling.bulk_limit import BulkThrottle
from service.scheduling.grouping import ArrivalGrouping, Grouping, PrefixGrouping

Priority = Literal["interactive", "bulk"]

PRIORITIES: tuple[Priority, ...] = get_args(Priority)

WINDOW = 256
"""Relatives are looked for among this many of the oldest jobs."""

WINDOW_BATCHES = 16
"""Upper bound of the same window in batches' worth of tokens. It bounds how long a job can be
overtaken by relatives of older ones."""

JobResult = tuple[float, ...] | ItemError


@dataclass(slots=True, eq=False)
class Job:
    """One sequence to score, with its own clock: all times are seconds on the batcher's clock.

    Attributes:
        answer: resolves to the raw scores at the read positions, or to an error.
        reserved_tokens: new tokens that admission counts for this job.
        computed_tokens: tokens that the engine worked through for this job, known once it ran.
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
    """Waiting jobs, one lane for each priority.

    Args:
        batch_tokens: budget of new tokens per batch; a job larger than it leads a batch of its own.
        max_tokens: what a batch may hold rather than split close relatives; by default, no more
            than `batch_tokens`.
        max_wait: seconds that the oldest job may wait for company while the budget is not reached.
        bulk_patience: seconds without a turn after which waiting bulk work leads one batch.
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
        self._shares_prefixes = shares_prefixes
        self._grouping: Grouping = ArrivalGrouping()
        if shares_prefixes:
            self._grouping = PrefixGrouping(batch_tokens, max_tokens or batch_tokens)
        self._throttle = BulkThrottle(batch_tokens)
        self._lanes: dict[Priority, deque[Job]] = {priority: deque() for priority in PRIORITIES}
        self._tokens = 0
        # Bulk patience counts from the last batch that held any bulk job.
        self._bulk_ran_at = -math.inf
        self._expired: list[Job] = []

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def push(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._lanes[job.priority].append(job)
            self._tokens += job.tokens
        if interactive := [job for job in jobs if job.priority == "interactive"]:
            self._throttle.interactive_came(interactive[-1].queued_at)

    def due_in(self, now: float) -> float:
        """Seconds until the next batch should be taken: infinite while nothing waits."""
        oldest = min((lane[0].queued_at for lane in self._lanes.values() if lane), default=math.inf)
        # Whole lengths, which bound the new tokens from above without looking for shared prefixes.
        if self._tokens >= self._batch_tokens:
            return 0.0
        return max(0.0, oldest + self._max_wait - now)

    def take(self, now: float) -> list[Job]:
        """Take the next batch; empty when every waiting job was abandoned or has expired."""
        lanes = PRIORITIES
        if bulk := self._lanes["bulk"]:
            waits_since = max(bulk[0].queued_at, self._bulk_ran_at)
            if now >= waits_since + self._bulk_patience:
                lanes = ("bulk", "interactive")
        batch: list[Job] = []
        # The second lane fills what the first one leaves of the budget.
        for priority in lanes:
            throttled = priority == "bulk" and self._throttle.active(now)
            budget = self._throttle.max_tokens if throttled else self._batch_tokens
            while window := self._take_window(self._lanes[priority], now):
                used = new_tokens(
                    [job.sequence for job in batch], shares_prefixes=self._shares_prefixes
                )
                chosen = self._grouping.choose(
                    [job.sequence for job in window],
                    budget - sum(used),
                    leads=not batch,
                    may_split=throttled,
                )
                batch += [window[index] for index in chosen]
                if len(chosen) < len(window):
                    # The others go back to the head of their lane, in their old order.
                    left = set(range(len(window))).difference(chosen)
                    rest = [window[index] for index in sorted(left, reverse=True)]
                    self._lanes[priority].extendleft(rest)
                    self._tokens += sum(job.tokens for job in rest)
                    break
        if any(job.priority == "bulk" for job in batch):
            self._bulk_ran_at = now
        return batch

    def note_ran(self, batch: list[Job], seconds: float) -> None:
        """Learn how long a batch took; `computed_tokens` of its jobs is set by now."""
        if any(job.priority == "bulk" for job in batch):
            self._throttle.bulk_ran(sum(job.computed_tokens for job in batch), seconds)
        else:
            self._throttle.interactive_ran(seconds)

    def take_all(self) -> list[Job]:
        """Take everything that waits."""
        waiting = [job for lane in self._lanes.values() for job in lane]
        for lane in self._lanes.values():
            lane.clear()
        self._tokens = 0
        return waiting

    def take_expired(self) -> list[Job]:
        """Take the jobs that were dropped because their deadline passed; each is returned once."""
        expired, self._expired = self._expired, []
        return expired

    def _take_window(self, lane: deque[Job], now: float) -> list[Job]:
        """Take the lane's oldest jobs whose answer is still awaited; drop the others on the way."""
        window: list[Job] = []
        reserved = 0
        while lane and len(window) < WINDOW and reserved < WINDOW_BATCHES * self._batch_tokens:
            job = lane.popleft()
            self._tokens -= job.tokens
            if job.answer.done():
                continue  # Its client is gone.
            if job.deadline <= now:
                self._expired.append(job)
                continue
            window.append(job)
            reserved += job.reserved_tokens
        return window
