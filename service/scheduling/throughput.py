"""How fast one model works off what it took in, and how far from that requests really end.

Measured, because nobody knows either beforehand: machines are shared, batches are ended by their
last text, and texts that share prefixes go before others.
"""

import math
from collections import deque

from service.scheduling.queue import PRIORITIES, Priority

_SMOOTHING = 0.2
"""Weight of the newest batch in the measured speed."""

_REMEMBERED = 200
"""Requests of each priority from which the spread is told."""

_QUANTILE = 0.99

_MARGIN = 1.1
"""Times that, because the next requests are not the last ones."""

_LEAST_SPREAD, _MOST_SPREAD = 1.15, 2.5
"""Some room is left however well the last requests kept to what was expected; and one bad moment of
the machine must not empty the queue, and so the engine, until it is forgotten.
"""


class ThroughputEstimator:
    """Of one model. All seconds are of work, or of waiting for it.

    Attributes:
        speed: tokens of room given back in a second of work, lately; 0 until a batch ran.
    """

    def __init__(self) -> None:
        self.speed = 0.0
        self._tokens = self._busy = self._batches = 0.0
        self._spread = dict.fromkeys(PRIORITIES, _LEAST_SPREAD)
        self._ratios: dict[Priority, deque[float]] = {
            priority: deque(maxlen=_REMEMBERED) for priority in PRIORITIES
        }

    def note_batch(self, tokens: int, seconds: float) -> None:
        """Room for `tokens` was given back in `seconds` that there was work."""
        if tokens and seconds > 0:
            keep = 1 - _SMOOTHING
            self._tokens = keep * self._tokens + tokens
            self._busy = keep * self._busy + seconds
            self._batches = keep * self._batches + 1
            self.speed = self._tokens / self._busy

    def note_request(self, priority: Priority, expected: float, took: float) -> None:
        """A request that was expected to take so long was answered, or ran out of its time."""
        if expected <= 0:
            return
        ratios = self._ratios[priority]
        ratios.append(took / expected)
        place = min(len(ratios) - 1, math.floor(_QUANTILE * len(ratios)))
        self._spread[priority] = min(_MOST_SPREAD, max(_LEAST_SPREAD, sorted(ratios)[place]))

    def expected(self, tokens: int) -> float:
        """Seconds to work off so many tokens, the batch included that keeps them waiting; 0 until
        a batch ran.
        """
        if not self.speed:
            return 0.0
        return tokens / self.speed + self._busy / self._batches

    def latest(self, priority: Priority, expected: float) -> float:
        """Seconds within which at least 99 of 100 requests end that should take `expected`."""
        return _MARGIN * self._spread[priority] * expected
