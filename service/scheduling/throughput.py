"""Estimates how long one model takes for work that it has admitted.

Both the speed and the error of the estimate are measured, because nobody knows either beforehand:
machines are shared, a batch ends with its longest text, and relatives overtake others.
"""

import math
from collections import deque

from service.scheduling.queue import PRIORITIES, Priority

_SMOOTHING = 0.2
"""Weight of the newest batch in the moving average of the speed."""

_WINDOW_REQUESTS = 200
"""Requests of each priority, the latest ones, from which the error is estimated."""

_QUANTILE = 0.99

_MARGIN = 1.1
"""Factor on the measured quantile, because the next requests are not the last ones."""

_MIN_ERROR, _MAX_ERROR = 1.15, 2.5
"""Bounds of the measured quantile. The lower one keeps a reserve however exact the last estimates
were. The upper one keeps a single bad moment of the machine from emptying the queue, and so idling
the engine, until it has left the window."""


class ThroughputEstimator:
    """Measures one model. Seconds count only while the model has work.

    Attributes:
        speed: admitted tokens per second, as a moving average over batches; 0 until a batch ran.
    """

    def __init__(self) -> None:
        self.speed = 0.0
        # Exponentially weighted sums over the batches that ran.
        self._tokens = self._seconds = self._batches = 0.0
        # How many times longer a request took than was expected, as a quantile and one by one.
        self._error = dict.fromkeys(PRIORITIES, _MIN_ERROR)
        self._ratios: dict[Priority, deque[float]] = {
            priority: deque(maxlen=_WINDOW_REQUESTS) for priority in PRIORITIES
        }

    def note_batch(self, admitted_tokens: int, busy_seconds: float) -> None:
        """Learn from a batch: what admission had reserved for it, and the time it took."""
        if admitted_tokens and busy_seconds > 0:
            keep = 1 - _SMOOTHING
            self._tokens = keep * self._tokens + admitted_tokens
            self._seconds = keep * self._seconds + busy_seconds
            self._batches = keep * self._batches + 1
            self.speed = self._tokens / self._seconds

    def note_request(self, priority: Priority, expected: float, took: float) -> None:
        """Learn from a request that was answered, or ran out of time, after `took` seconds."""
        if expected <= 0:
            return
        ratios = self._ratios[priority]
        ratios.append(took / expected)
        index = min(len(ratios) - 1, math.floor(_QUANTILE * len(ratios)))
        self._error[priority] = min(_MAX_ERROR, max(_MIN_ERROR, sorted(ratios)[index]))

    def expected(self, tokens: int) -> float:
        """Seconds until this many admitted tokens are computed; 0 until a batch ran."""
        if not self.speed:
            return 0.0
        # A request also waits for the end of the batch that runs when it arrives.
        return tokens / self.speed + self._seconds / self._batches

    def latest(self, priority: Priority, expected: float) -> float:
        """Seconds within which 99 of 100 requests end that are expected to take `expected`."""
        return _MARGIN * self._error[priority] * expected
