"""A token bucket: so many tokens a minute, and no more than a minute's worth saved up."""

import math
from collections.abc import Callable


class Bucket:
    """Lets in whoever comes while there is something in it, however much he takes out.

    So it may owe: one large request is never locked out for good, and what it took in advance is
    waited off by those after it. `clock` gives seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._level = float(per_minute)
        self._filled_at = clock()

    @property
    def level(self) -> float:
        """Tokens in it now; below zero while it owes."""
        now = self._clock()
        self._add((now - self._filled_at) * self.per_minute / 60)
        self._filled_at = now
        return self._level

    @property
    def wait(self) -> int:
        """Whole seconds until something is in it; 0 if something is."""
        level = self.level
        return 0 if level > 0 else math.floor(-level * 60 / self.per_minute) + 1

    def take(self, tokens: int) -> None:
        """Those below zero are put back."""
        self._add(-tokens)

    def _add(self, tokens: float) -> None:
        self._level = min(float(self.per_minute), self._level + tokens)
