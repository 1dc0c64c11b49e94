"""Limits how many tokens a batch with bulk work may hold while interactive requests come.

A request that arrives while a batch runs waits for its end. So while interactive requests come,
batches with bulk work are kept about as short as batches of interactive work are by themselves; at
all other times they are full.
"""

import math

_ACTIVE_SECONDS = 5.0
"""Seconds after an interactive job during which another one is expected."""

_MIN_TOKENS = 256
"""A smaller batch takes hardly less time."""

_FALL, _RISE = 0.5, 0.02
"""Weights of the newest batch in the moving average of an interactive batch's seconds. The average
falls fast and rises slowly, because it stands for a batch that nothing disturbs."""

_MIN_STEP, _MAX_STEP = 0.5, 1.25
"""Bounds of the factor by which the limit changes after one batch. It falls faster than it rises,
because a batch that is too long hurts at once."""


class BulkThrottle:
    """The limit adapts to measured batches.

    Args:
        batch_tokens: budget of a batch without the limit.
    """

    def __init__(self, batch_tokens: int) -> None:
        self._batch_tokens = batch_tokens
        self._limit = float(min(_MIN_TOKENS, batch_tokens))
        self._interactive_seconds = math.nan
        self._interactive_came_at = -math.inf

    def interactive_came(self, now: float) -> None:
        self._interactive_came_at = now

    def active(self, now: float) -> bool:
        """Whether interactive requests come, so that batches with bulk work are limited."""
        return now < self._interactive_came_at + _ACTIVE_SECONDS

    @property
    def max_tokens(self) -> int:
        """New tokens that a batch with bulk work may hold while the limit is active."""
        return int(self._limit)

    def interactive_ran(self, seconds: float) -> None:
        """Learn how long a batch of interactive work alone took."""
        if math.isnan(self._interactive_seconds):
            self._interactive_seconds = seconds
        weight = _FALL if seconds < self._interactive_seconds else _RISE
        self._interactive_seconds += weight * (seconds - self._interactive_seconds)

    def bulk_ran(self, tokens: int, seconds: float) -> None:
        """Adapt the limit after a batch with bulk work, so that the next takes the right time."""
        # A batch far over the limit was a single long text, or ran while the limit was not active.
        if math.isnan(self._interactive_seconds) or tokens > 2 * self._limit:
            return
        step = self._interactive_seconds / max(seconds, 1e-9)
        step = min(_MAX_STEP, max(_MIN_STEP, step))
        self._limit = min(self._batch_tokens, max(_MIN_TOKENS, self._limit * step))
