"""Whether there is room for a request, decided before any work is spent on it.

Room is counted in candidates and in new tokens, from admission until the answer, so what is being
encoded, waits or runs all counts. Used on the event loop only, so it needs no lock.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from service.backlog import PRIORITIES, Priority
from service.errors import Draining, QueueFull

LONGEST_RETRY = 60
"""Seconds; clients that obey Retry-After give up on anything longer."""

_IN_TIME = 0.7
"""Of a request's time that is filled; speed varies, and what is late is lost."""

_SMOOTHING = 0.2
"""Weight of the newest batch in the measured speed."""


class Place:
    """What one request still holds of the room; given back bit by bit as its jobs are answered."""

    def __init__(self) -> None:
        self.items = 0
        self.tokens = 0

    def hold(self, items: int, tokens: int) -> None:
        """Hold exactly this much, once it is known better than at admission."""
        self.items, self.tokens = items, tokens

    def give_back(self, tokens: int) -> None:
        """One job, which held this many tokens, is answered."""
        self.hold(max(0, self.items - 1), max(0, self.tokens - tokens))


class Admission:
    """Bounded room, apart for each priority: however much bulk work waits, interactive work enters.

    Refuses once the room is full, so one request may stick out of it but a large one is never
    locked out by a stream of small ones.

    Args:
        max_items, max_tokens: room for the work of one priority that is not answered yet.
    """

    def __init__(self, *, max_items: int, max_tokens: int) -> None:
        self._max_items = max_items
        self._max_tokens = max_tokens
        self._speed = self._drained = self._busy = 0.0
        self._draining = False
        self._places: dict[Priority, set[Place]] = {"interactive": set(), "bulk": set()}

    def items(self, priority: Priority) -> int:
        """Candidates admitted and not answered yet."""
        return sum(place.items for place in self._places[priority])

    def tokens(self, priority: Priority) -> int:
        """New tokens admitted and not computed yet; estimated until they are encoded."""
        return sum(place.tokens for place in self._places[priority])

    @property
    def requests(self) -> int:
        """Admitted and not answered yet."""
        return sum(map(len, self._places.values()))

    @property
    def speed(self) -> float:
        """Tokens of room given back in a second of work, lately; 0 until a batch ran."""
        return self._speed

    @property
    def seconds_of_work(self) -> float:
        """How long all that was admitted takes, as fast as measured; 0 until a batch ran."""
        return sum(map(self.tokens, PRIORITIES)) / self._speed if self._speed else 0.0

    @property
    def idle(self) -> bool:
        """Whether every request that was admitted is answered."""
        return not any(self._places.values())

    @contextmanager
    def admit(
        self, priority: Priority, items: int, tokens: int, timeout: float | None = None
    ) -> Iterator[Place]:
        """Hold room while the block runs.

        Args:
            timeout: seconds after which the answer is of no use.

        Raises:
            Draining: no new work is taken any more.
            QueueFull: as much work of this priority waits as there is room for, or more than can be
                done in time.
        """
        self._refuse_if_closed(priority)
        self._refuse_if_late(priority, tokens, timeout)
        place = Place()
        place.hold(items, tokens)
        self._places[priority].add(place)
        try:
            yield place
        finally:
            self._places[priority].remove(place)

    def stop(self) -> None:
        """Refuse all new work from now on; what was admitted is not touched."""
        self._draining = True

    def note_speed(self, tokens: int, seconds: float) -> None:
        """Learn how fast room is given back: `tokens` of it in `seconds` that there was work."""
        if tokens and seconds > 0:
            self._drained = (1 - _SMOOTHING) * self._drained + tokens
            self._busy = (1 - _SMOOTHING) * self._busy + seconds
            self._speed = self._drained / self._busy

    def retry_after(self, priority: Priority) -> int:
        """Whole seconds until what goes before a new request is worked off, as fast as measured."""
        if not self._speed:
            return 1
        return min(LONGEST_RETRY, max(1, math.ceil(self._seconds_ahead(priority))))

    def _seconds_ahead(self, priority: Priority) -> float:
        """Of work that goes before a new request."""
        ahead = self.tokens("interactive") + (self.tokens("bulk") if priority == "bulk" else 0)
        return ahead / self._speed

    def _refuse_if_late(self, priority: Priority, tokens: int, timeout: float | None) -> None:
        """To begin what cannot end in time would cost those who still can be served."""
        if timeout is None or not self._speed:
            return
        expected = self._seconds_ahead(priority) + tokens / self._speed
        if self._seconds_ahead(priority) and expected > _IN_TIME * timeout:
            raise QueueFull(
                "what waits takes longer than this request may: come back later, or allow it more "
                "time",
                retry_after=self.retry_after(priority),
            )

    def _refuse_if_closed(self, priority: Priority) -> None:
        retry_after = self.retry_after(priority)
        if self._draining:
            raise Draining("this server is shutting down", retry_after=retry_after)
        items = self.items(priority)
        if items >= self._max_items or self.tokens(priority) >= self._max_tokens:
            raise QueueFull(
                f"the queue is full: {items} candidates wait. Try again later, with fewer at once, "
                "or ask for more room (--max-queue-items, --max-queue-tokens)",
                retry_after=retry_after,
            )
