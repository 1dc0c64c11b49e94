"""Whether there is room for a request, decided before any work is spent on it.

Room is counted in candidates and in new tokens, from admission until the answer, so what is being
encoded, waits or runs all counts. It is one room for all models; how long what is in it takes is
each model's own (`service.throughput`). Used on the event loop only, so it needs no lock.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from service.errors import LONGEST_RETRY, Draining, QueueFull
from service.scheduling.queue import PRIORITIES, Priority
from service.scheduling.throughput import ThroughputEstimator

_LATE = 0.95
"""Of a request's time, after which one without an answer is taken to be late: its own clock began
before ours.
"""


@dataclass(slots=True)
class Usage:
    """By all requests of one priority for one model."""

    requests: int = 0
    items: int = 0
    tokens: int = 0


class Reservation:
    """What one request still holds of the room; given back bit by bit as its jobs are answered.

    Args:
        total: what it is part of.

    Attributes:
        computed: whether some of it had to be computed, and not all was known before.
    """

    def __init__(self, total: Usage) -> None:
        self._total = total
        self._items = self._tokens = 0
        self.computed = False

    def resize(self, items: int, tokens: int) -> None:
        """Hold exactly this much, once it is known better than at admission."""
        self._total.items += items - self._items
        self._total.tokens += tokens - self._tokens
        self._items, self._tokens = items, tokens

    def release(self, tokens: int) -> None:
        """One job, which held this many tokens, is answered."""
        self.computed = True
        self.resize(max(0, self._items - 1), max(0, self._tokens - tokens))


class Admission:
    """Bounded room, apart for each priority: however much bulk work waits, interactive work enters.

    Refuses once the room is full, so one request may stick out of it but a large one is never
    locked out by a stream of small ones.

    Args:
        max_items, max_tokens: room for the work of one priority that is not answered yet.
        clock: gives seconds.
    """

    def __init__(
        self, *, max_items: int, max_tokens: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_items = max_items
        self._max_tokens = max_tokens
        self._clock = clock
        self._draining = False
        # A model that is gone has no requests, and so holds nothing.
        self._held: WeakKeyDictionary[ThroughputEstimator, dict[Priority, Usage]] = (
            WeakKeyDictionary()
        )

    def items(self, priority: Priority) -> int:
        """Candidates admitted and not answered yet."""
        return sum(held[priority].items for held in self._held.values())

    def tokens(self, priority: Priority) -> int:
        """New tokens admitted and not computed yet; estimated until they are encoded."""
        return sum(held[priority].tokens for held in self._held.values())

    @property
    def requests(self) -> int:
        """Admitted and not answered yet."""
        return sum(held[each].requests for held in self._held.values() for each in PRIORITIES)

    @property
    def seconds_of_work(self) -> float:
        """How long all that was admitted takes, as fast as measured: models work side by side.
        0 until a batch ran.
        """
        return max(
            (self._seconds_ahead("bulk", throughput) for throughput in self._held), default=0.0
        )

    @property
    def idle(self) -> bool:
        """Whether every request that was admitted is answered."""
        return not self.requests

    @contextmanager
    def admit(
        self,
        priority: Priority,
        items: int,
        tokens: int,
        throughput: ThroughputEstimator,
        timeout: float | None = None,
    ) -> Iterator[Reservation]:
        """Hold room while the block runs.

        Args:
            throughput: of the model that it is for.
            timeout: seconds after which the answer is of no use.

        Raises:
            Draining: no new work is taken any more.
            QueueFull: as much work of this priority waits as there is room for, or more than can be
                done in time.
        """
        self._refuse_if_closed(priority, throughput)
        expected = throughput.expected(self._tokens_ahead(priority, throughput) + tokens)
        self._refuse_if_late(priority, throughput, expected, timeout)
        began, answered = self._clock(), False
        try:
            with self._holding(priority, throughput) as place:
                place.resize(items, tokens)
                yield place
            answered = place.computed
        finally:
            # A client that left tells nothing of how long its answer would have taken.
            took = self._clock() - began
            if answered or (timeout is not None and took >= _LATE * timeout):
                throughput.note_request(priority, expected, took)

    @contextmanager
    def _holding(
        self, priority: Priority, throughput: ThroughputEstimator
    ) -> Iterator[Reservation]:
        total = self._held_by(throughput)[priority]
        place = Reservation(total)
        total.requests += 1
        try:
            yield place
        finally:
            place.resize(0, 0)
            total.requests -= 1

    def _held_by(self, throughput: ThroughputEstimator) -> dict[Priority, Usage]:
        return self._held.setdefault(throughput, {priority: Usage() for priority in PRIORITIES})

    def stop(self) -> None:
        """Refuse all new work from now on; what was admitted is not touched."""
        self._draining = True

    def retry_after(self, priority: Priority, throughput: ThroughputEstimator) -> int:
        """Whole seconds until what goes before a new request is worked off, as fast as measured."""
        return _whole_seconds(self._seconds_ahead(priority, throughput))

    @property
    def emptied_after(self) -> int:
        """Whole seconds until all that was admitted is worked off, as fast as measured."""
        return _whole_seconds(self.seconds_of_work)

    def _seconds_ahead(self, priority: Priority, throughput: ThroughputEstimator) -> float:
        return (
            self._tokens_ahead(priority, throughput) / throughput.speed if throughput.speed else 0.0
        )

    def _tokens_ahead(self, priority: Priority, throughput: ThroughputEstimator) -> int:
        """Of the same model's work that goes before a new request."""
        before: tuple[Priority, ...] = PRIORITIES if priority == "bulk" else (priority,)
        held = self._held_by(throughput)
        return sum(held[each].tokens for each in before)

    def _refuse_if_closed(self, priority: Priority, throughput: ThroughputEstimator) -> None:
        retry_after = self.retry_after(priority, throughput)
        if self._draining:
            raise Draining("this server is shutting down", retry_after=retry_after)
        items = self.items(priority)
        if items >= self._max_items or self.tokens(priority) >= self._max_tokens:
            raise QueueFull(
                f"the queue is full: {items} candidates wait. Try again later, with fewer at once, "
                "or ask for more room (--max-queue-items, --max-queue-tokens)",
                retry_after=retry_after,
            )

    def _refuse_if_late(
        self,
        priority: Priority,
        throughput: ThroughputEstimator,
        expected: float,
        timeout: float | None,
    ) -> None:
        """To begin what cannot end in time would cost those who still can be served."""
        if timeout is None or not self._tokens_ahead(priority, throughput):
            return
        if throughput.latest(priority, expected) > timeout:
            raise QueueFull(
                "what waits takes longer than this request may: come back later, or allow it more "
                "time",
                retry_after=self.retry_after(priority, throughput),
            )


def _whole_seconds(seconds: float) -> int:
    return min(LONGEST_RETRY, max(1, math.ceil(seconds)))
