"""Which job runs next: the whole scheduling policy, without threads, clocks, torch or HTTP.

Interactive jobs go before bulk jobs, each kind in the order it came. A batch is filled up to a
budget of *new* tokens: what a job adds to its predecessor's prefix. So candidates of one prompt,
which arrive side by side, pay for their prompt once.
"""

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, get_args

from reward_model.packing import Sequence, shared_prefix
from service.errors import ItemError

Priority = Literal["interactive", "bulk"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)


@dataclass(slots=True, eq=False)
class Job:
    """One sequence to score, with its own clock (seconds; all times are on the batcher's clock).

    `answer` resolves to the raw score, or to why there is none. `computed` is the number of tokens
    the engine worked through for this job, known once it ran.
    """

    sequence: Sequence
    priority: Priority
    answer: "asyncio.Future[float | ItemError]"
    queued_at: float
    deadline: float = math.inf
    started_at: float = field(default=math.nan, init=False)
    finished_at: float = field(default=math.nan, init=False)
    computed: int = field(default=0, init=False)

    @property
    def tokens(self) -> int:
        return len(self.sequence.ids)


class Backlog:
    """Jobs that wait.

    Args:
        batch_tokens: budget of new tokens per batch; a job larger than it runs alone.
        max_wait: seconds the first job may wait for company while the budget is not reached.
        bulk_patience: seconds that waiting bulk work gets no turn before it leads one batch.
        shares_prefixes: whether the engine computes a shared prefix once.
    """

    def __init__(
        self, *, batch_tokens: int, max_wait: float, bulk_patience: float, shares_prefixes: bool
    ) -> None:
        self._batch_tokens = batch_tokens
        self._max_wait = max_wait
        self._bulk_patience = bulk_patience
        self._shares_prefixes = shares_prefixes
        self._interactive: deque[Job] = deque()
        self._bulk: deque[Job] = deque()
        self._bulk_ran_at = -math.inf
        self._tokens = 0
        self._expired: list[Job] = []

    def __len__(self) -> int:
        return len(self._interactive) + len(self._bulk)

    def push(self, job: Job) -> None:
        (self._interactive if job.priority == "interactive" else self._bulk).append(job)
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

        When the head of one lane does not fit any more, the other lane may fill what is left.
        """
        batch: list[Job] = []
        room = self._batch_tokens
        for lane in self._lanes_in_order(now):
            while job := self._first_awaited(lane, now):
                cost = self._new_tokens(job, batch)
                if batch and cost > room:
                    break
                batch.append(self._pop(lane))
                room -= cost
        if any(job.priority == "bulk" for job in batch):
            self._bulk_ran_at = now
        return batch

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

    def _first_awaited(self, lane: deque[Job], now: float) -> Job | None:
        """The lane's head, after dropping what nobody awaits any more."""
        while lane:
            if lane[0].answer.done():
                self._pop(lane)
            elif lane[0].deadline <= now:
                self._expired.append(self._pop(lane))
            else:
                return lane[0]
        return None

    def _pop(self, lane: deque[Job]) -> Job:
        job = lane.popleft()
        self._tokens -= job.tokens
        return job

    def _new_tokens(self, job: Job, batch: list[Job]) -> int:
        """Never less than what the job really adds: other predecessors may share more."""
        if not (self._shares_prefixes and batch):
            return job.tokens
        return job.tokens - shared_prefix(batch[-1].sequence.ids, job.sequence.ids)
