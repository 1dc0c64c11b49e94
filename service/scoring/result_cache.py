"""An LRU cache of scores, keyed by the token ids that they were computed from.

A score depends on nothing but the release and the ids, so a repeated candidate costs nothing and
gets exactly the score that it got before. Each loaded release has a cache of its own.
"""

import struct
from array import array
from collections import OrderedDict
from hashlib import blake2b

from reward_model.packing import Sequence

ENTRY_BYTES = 192
"""Measured upper bound of the memory of one entry: key, float, and its share of the dictionary."""

_ARRAY_BYTES = 64
"""Memory that an array takes more than a float, apart from its elements."""

_KEY_BYTES = 16
"""With 128 bits, a collision of two texts is less likely than a memory error."""


class ResultCache:
    """Least recently used entries are evicted. Used on the event loop only, so it needs no lock.

    Args:
        max_bytes: bound on the memory of all entries; 0 disables the cache.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # The scores of a model with several labels are kept as an array.
        self._scores: OrderedDict[bytes, float | array[float]] = OrderedDict()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """The memory of all entries, estimated from above."""
        return self._bytes

    def get(self, sequence: Sequence) -> tuple[float, ...] | None:
        """Return the scores of a text, one for each label of the model; None if it has none."""
        if self._max_bytes < ENTRY_BYTES:
            return None
        key = _key(sequence)
        kept = self._scores.get(key)
        if kept is None:
            return None
        self._scores.move_to_end(key)
        return tuple(kept) if isinstance(kept, array) else (kept,)

    def put(self, sequence: Sequence, scores: tuple[float, ...]) -> None:
        if self._max_bytes < ENTRY_BYTES:
            return
        key = _key(sequence)
        if (known := self._scores.pop(key, None)) is not None:
            self._bytes -= _bytes_of(known)
        kept = scores[0] if len(scores) == 1 else array("d", scores)
        self._scores[key] = kept
        self._bytes += _bytes_of(kept)
        while self._bytes > self._max_bytes:
            _, evicted = self._scores.popitem(last=False)
            self._bytes -= _bytes_of(evicted)


def _bytes_of(kept: "float | array[float]") -> int:
    if isinstance(kept, array):
        return ENTRY_BYTES + _ARRAY_BYTES + kept.itemsize * len(kept)
    return ENTRY_BYTES


def _key(sequence: Sequence) -> bytes:
    # Keys are hashes because the ids themselves would take kilobytes per entry.
    parts = (sequence.ids, sequence.read_at, sequence.token_types)
    content = b"".join(array("I", part).tobytes() for part in parts)
    # The numbers of ids and of read positions separate them from what follows.
    salt = struct.pack("<QQ", len(sequence.ids), len(sequence.read_at))
    return blake2b(content, digest_size=_KEY_BYTES, salt=salt).digest()
