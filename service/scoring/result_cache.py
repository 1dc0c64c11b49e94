"""Scores that were computed before, by the very ids they were computed from.

A score depends on nothing but the release and the ids, so a repeated candidate costs nothing and
gets the very number it got before. One cache belongs to one loaded release and goes with it.
"""

from array import array
from collections import OrderedDict
from hashlib import blake2b

from reward_model.packing import Sequence

ENTRY_BYTES = 192
"""What an entry occupies at most, measured: key, float, and its share of a linked dictionary."""

_KEY_BYTES = 16
"""128 bits: two texts that meet are less likely than a fault of the memory that holds them."""


class ResultCache:
    """Bounded; what was not asked for longest goes first. Used on the event loop only.

    Args:
        max_bytes: 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._most = max_bytes // ENTRY_BYTES
        self._scores: OrderedDict[bytes, float] = OrderedDict()

    @property
    def bytes(self) -> int:
        """Occupied, about."""
        return len(self._scores) * ENTRY_BYTES

    def get(self, sequence: Sequence) -> float | None:
        if not self._most:
            return None
        key = _key(sequence)
        if key in self._scores:
            self._scores.move_to_end(key)
        return self._scores.get(key)

    def put(self, sequence: Sequence, score: float) -> None:
        if not self._most:
            return
        self._scores[_key(sequence)] = score
        if len(self._scores) > self._most:
            self._scores.popitem(last=False)


def _key(sequence: Sequence) -> bytes:
    ids, read_at = array("I", sequence.ids), array("I", sequence.read_at)
    # The length tells the ids from the positions that follow them.
    salt = len(ids).to_bytes(8, "little")
    return blake2b(ids.tobytes() + read_at.tobytes(), digest_size=_KEY_BYTES, salt=salt).digest()
