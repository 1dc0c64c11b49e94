"""Admits a request or refuses it before any work is spent on it.

The queue's room is counted in items and in new tokens, from admission until the answer, so that
whatever is being encoded, waits or runs counts. All models share one room; how long the work in it
takes is estimated for each model by its own `ThroughputEstimator`. This module is used on the event
loop only, so it needs no lock.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from service.errors import MAX_RETRY_AFTER, Draining, QueueFull
from service.scheduling.queue import PRIORITIES, Priority
from service.scheduling.throughput import ThroughputEstimator

_LATE = 0.95
"""Share of its timeout after which a request without an answer counts as late. The request's own
clock began before ours, so the share is below 1."""


@dataclass(slots=True)
class Reserved:
    """The sum of all reservations of one priority for one model."""

    requests: int = 0
    items: int = 0
    tokens: int = 0


class Reservation:
    """Room in the queue for one request, released job by job as its items are scored.

    Args:
        total: the sum that it is a part of.

    Attributes:
        computed: whether the engine has scored any of its items; false if all came from the cache.
    """

    def __init__(self, total: Reserved) -> None:
        self._total = total
        self._items = self._tokens = 0
        self.computed = False

    def resize(self, items: int, tokens: int) -> None:
        """Reserve exactly this much, once it is known better than at admission."""
        self._total.items += items - self._items
        self._total.tokens += tokens - self._tokens
        self._items, self._tokens = items, tokens

    def release(self, tokens: int, _answer: object = None) -> None:
        """Give back what was reserved for one job. It is a callback of the job's answer."""
        self.computed = True
        # At 0 the request itself was given up, and everything was released with it.
        self.resize(max(0, self._items - 1), max(0, self._tokens - tokens))


class Admission:
    """Bounded room in the queue, separate for each priority: bulk work never keeps others out.

    A request is refused when the room is full already. So a single one may exceed it, and a large
    request is never locked out by a stream of small ones.

    Args:
        max_items, max_tokens: room for the unanswered work of one priority.
        clock: gives seconds.
    """

    def __init__(
        self, *, max_items: int, max_tokens: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_items = max_items
        self._max_tokens = max_tokens
        self._clock = clock
        self._draining = False
        # Weak keys, because a model that is unloaded has no requests and so reserves nothing.
        self._reserved: WeakKeyDictionary[ThroughputEstimator, dict[Priority, Reserved]] = (
            WeakKeyDictionary()
        )

    def items(self, priority: Priority) -> int:
        """Items that are admitted and not answered yet."""
        return sum(reserved[priority].items for reserved in self._reserved.values())

    def tokens(self, priority: Priority) -> int:
        """New tokens that are admitted and not computed yet; estimates until they are encoded."""
        return sum(reserved[priority].tokens for reserved in self._reserved.values())

    @property
    def requests(self) -> int:
        """Requests that are admitted and not answered yet."""
        return sum(one.requests for each in self._reserved.values() for one in each.values())

    @property
    def idle(self) -> bool:
        """Whether every admitted request is answered."""
        return not self.requests

    @property
    def seconds_of_work(self) -> float:
        """Estimated seconds until all admitted work is done; 0 until a batch ran."""
        # Models work side by side, so the one that takes longest decides.
        return max((self._seconds_ahead("bulk", each) for each in self._reserved), default=0.0)

    @property
    def emptied_after(self) -> int:
        """`seconds_of_work` as a `Retry-After`."""
        return _whole_seconds(self.seconds_of_work)

    def retry_after(self, priority: Priority, throughput: ThroughputEstimator) -> int:
        """Whole seconds until the work that goes before a new request is estimated to be done."""
        return _whole_seconds(self._seconds_ahead(priority, throughput))

    def stop(self) -> None:
        """Refuse all new requests from now on; admitted ones are not touched."""
        self._draining = True

    @contextmanager
    def admit(
        self,
        priority: Priority,
        items: int,
        tokens: int,
        throughput: ThroughputEstimator,
        timeout: float | None = None,
    ) -> Iterator[Reservation]:
        """Reserve room while the block runs.

        Args:
            throughput: that of the model which the request is for.
            timeout: seconds after which the answer is of no use.

        Raises:
            Draining: no new requests are taken any more.
            QueueFull: there is no room left for this priority, or the answer would be too late.
        """
        if self._draining:
            raise Draining(
                "this server is shutting down", retry_after=self.retry_after(priority, throughput)
            )
        waiting = self.items(priority)
        if waiting >= self._max_items or self.tokens(priority) >= self._max_tokens:
            raise QueueFull(
                f"the queue is full: {waiting} candidates wait. Try again later, with fewer at "
                "once, or ask for more room (--max-queue-items, --max-queue-tokens)",
                retry_after=self.retry_after(priority, throughput),
            )
        ahead = self._tokens_ahead(priority, throughput)
        expected = throughput.expected(ahead + tokens)
        # Work that cannot end in time would take the engine from requests that still can. With
        # nothing ahead a request may always try, since the estimate may be wrong.
        if timeout is not None and ahead and throughput.latest(priority, expected) > timeout:
            raise QueueFull(
                "what waits takes longer than this request may: come back later, or allow it more "
                "time",
                retry_after=self.retry_after(priority, throughput),
            )

        total = self._totals(throughput)[priority]
        reservation = Reservation(total)
        total.requests += 1
        reservation.resize(items, tokens)
        started, answered = self._clock(), False
        try:
            yield reservation
            answered = reservation.computed
        finally:
            reservation.resize(0, 0)
            total.requests -= 1
            # A client that left early says nothing about how long its answer would have taken.
            took = self._clock() - started
            if answered or (timeout is not None and took >= _LATE * timeout):
                throughput.note_request(priority, expected, took)

    def _totals(self, throughput: ThroughputEstimator) -> dict[Priority, Reserved]:
        return self._reserved.setdefault(
            throughput, {priority: Reserved() for priority in PRIORITIES}
        )

    def _tokens_ahead(self, priority: Priority, throughput: ThroughputEstimator) -> int:
        """Tokens of the same model's work that goes before a new request."""
        totals = self._totals(throughput)
        # Interactive work goes before bulk work.
        before = PRIORITIES if priority == "bulk" else (priority,)
        return sum(totals[each].tokens for each in before)

    def _seconds_ahead(self, priority: Priority, throughput: ThroughputEstimator) -> float:
        ahead = self._tokens_ahead(priority, throughput)
        return ahead / throughput.speed if throughput.speed else 0.0


def _whole_seconds(seconds: float) -> int:
    # Bounded first, because infinity has no whole number.
    return max(1, math.ceil(min(MAX_RETRY_AFTER, seconds)))
