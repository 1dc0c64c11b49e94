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

_KEY_BYTES = 16
"""With 128 bits, a collision of two texts is less likely than a memory error."""


class ResultCache:
    """Least recently used entries are evicted. Used on the event loop only, so it needs no lock.

    Args:
        max_bytes: bound on the memory of all entries; 0 disables the cache.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_entries = max_bytes // ENTRY_BYTES
        self._scores: OrderedDict[bytes, float] = OrderedDict()

    @property
    def bytes(self) -> int:
        """The memory of all entries, estimated from above."""
        return len(self._scores) * ENTRY_BYTES

    def get(self, sequence: Sequence) -> float | None:
        if not self._max_entries:
            return None
        key = _key(sequence)
        score = self._scores.get(key)
        if score is not None:
            self._scores.move_to_end(key)
        return score

    def put(self, sequence: Sequence, score: float) -> None:
        if not self._max_entries:
            return
        self._scores[_key(sequence)] = score
        if len(self._scores) > self._max_entries:
            self._scores.popitem(last=False)


def _key(sequence: Sequence) -> bytes:
    # Keys are hashes because the ids themselves would take kilobytes per entry.
    parts = (sequence.ids, sequence.read_at, sequence.token_types)
    content = b"".join(array("I", part).tobytes() for part in parts)
    # The numbers of ids and of read positions separate them from what follows.
    salt = struct.pack("<QQ", len(sequence.ids), len(sequence.read_at))
    return blake2b(content, digest_size=_KEY_BYTES, salt=salt).digest()
