"""The seam between the service and whatever computes scores. Opening one is the only choice made.

Engines take token ids and hide the rest: packing, devices, kernels.
"""

from typing import Protocol

from reward_model.packing import Sequence


class EngineUnavailable(Exception):
    """What the settings ask for cannot run on this machine; the message says what to change."""


class Engine(Protocol):
    """Scores token sequences. All its methods are called on one and the same thread."""

    max_tokens: int
    """Longest sequence it takes."""
    dtype: str
    """What the backbone computes in; scores are float32 whatever it is."""
    shares_prefixes: bool
    """Whether a prefix that a batch has in common is computed once."""
    fallback_reason: str | None
    """Why it scores a slower way than its architecture allows; None when it does not."""

    def warm_up(self) -> None:
        """Everything that would make the first request slower than the next."""

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        """Raw scores at each sequence's read positions, in the batch's order. Blocks."""

    def close(self) -> None:
        """Free what it holds; nothing is called afterwards."""
