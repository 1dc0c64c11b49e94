"""How much bulk work one batch may hold while people wait for interactive answers.

What arrives while a batch runs waits for its end. So as long as interactive work comes, batches
with bulk work are kept about as short as interactive ones are by themselves; else they are full.
"""

import math

_RECENT = 5.0
"""Seconds after an interactive job within which another is expected."""

_LEAST = 256
"""Tokens: smaller batches take hardly less time."""

_FALL, _RISE = 0.5, 0.02
"""Weight of the newest interactive batch in how long one takes: what it takes undisturbed."""

_LEAST_STEP, _MOST_STEP = 0.5, 1.25
"""By which what a batch may hold changes at a time."""


class BulkThrottle:
    """Args:
    batch_tokens: budget of a batch that need not be polite.
    """

    def __init__(self, batch_tokens: int) -> None:
        self._most = batch_tokens
        self._room = float(min(_LEAST, batch_tokens))
        self._seconds = math.nan
        self._seen_at = -math.inf

    def interactive_came(self, now: float) -> None:
        self._seen_at = now

    def active(self, now: float) -> bool:
        """Whether interactive work comes."""
        return now < self._seen_at + _RECENT

    @property
    def max_tokens(self) -> int:
        """Tokens of the largest batch that may hold bulk work while it is due."""
        return int(self._room)

    def interactive_ran(self, seconds: float) -> None:
        """A batch of interactive work alone took so long."""
        if math.isnan(self._seconds):
            self._seconds = seconds
        weight = _FALL if seconds < self._seconds else _RISE
        self._seconds += weight * (seconds - self._seconds)

    def bulk_ran(self, tokens: int, seconds: float) -> None:
        """A batch with bulk work took so long; the next should take what interactive ones do."""
        if math.isnan(self._seconds) or tokens > 2 * self._room:
            return
        step = min(_MOST_STEP, max(_LEAST_STEP, self._seconds / max(seconds, 1e-9)))
        self._room = min(self._most, max(_LEAST, self._room * step))
