"""Token sequences -> prefix tree -> one flat batch. Pure Python, on purpose without torch.

The tree is never built as nodes. Sorted lexicographically, sequences visit their prefix tree in
preorder, and the longest prefix a sequence shares with *any* earlier one is the prefix it shares
with its predecessor. So each sequence adds only the tokens past that prefix (one `Segment`), and
a token's subtree is the contiguous flat range that follows it.
"""

from dataclasses import dataclass

Range = tuple[int, int]
"""Half-open range of flat indices."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """One text to score: its token ids and the positions whose scalar is wanted."""

    ids: tuple[int, ...]
    read_at: tuple[int, ...]

    def __post_init__(self) -> None:
        assert self.ids, "a sequence has at least one token"
        assert all(0 <= position < len(self.ids) for position in self.read_at)


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens [start, end) that one sequence adds, and the flat ranges of all their ancestors."""

    start: int
    end: int
    past: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """A prefix tree laid out flat, T tokens long; every list below has length T unless said.

    `subtree_end[k]` is where the subtree of token k ends, so token q sees token k exactly when
    `k <= q < subtree_end[k]`. `reads[i]` holds the flat indices that sequence i of the batch asked
    for, in the batch's own order.
    """

    ids: list[int]
    positions: list[int]
    subtree_end: list[int]
    segments: list[Segment]
    reads: list[list[int]]


def new_tokens(batch: list[Sequence]) -> list[int]:
    """Tokens each sequence adds to the batch's prefix tree; their sum is the number of nodes."""
    counts = [0] * len(batch)
    previous: tuple[int, ...] = ()
    for index in _preorder(batch):
        ids = batch[index].ids
        counts[index] = len(ids) - shared_prefix(previous, ids)
        previous = ids
    return counts


def pack(batch: list[Sequence]) -> Packed:
    """Lay the batch's prefix tree out flat: every distinct prefix is computed once."""
    packed = Packed([], [], [], [], [[] for _ in batch])
    path = _Path()
    previous: tuple[int, ...] = ()
    for index in _preorder(batch):
        sequence = batch[index]
        shared = shared_prefix(previous, sequence.ids)
        _close(packed, path.cut(shared))
        _append(packed, path, sequence.ids, shared)
        flat = path.flat_indices()
        packed.reads[index] = [flat[position] for position in sequence.read_at]
        previous = sequence.ids
    _close(packed, path.cut(0))
    return packed


def filled(packed: Packed, length: int) -> Packed:
    """The same with fillers at the end, `length` tokens in all, which nobody reads.

    They see no text and no text sees them. By their subtrees each is alone, which a block mask
    skips best; they are one segment, which is one call. All of them have the first position: there
    is no model that is too short for it.
    """
    real = len(packed.ids)
    fill = length - real
    assert fill >= 0, "what is packed is never cut"
    if not fill:
        return packed
    return Packed(
        packed.ids + [0] * fill,
        packed.positions + [0] * fill,
        packed.subtree_end + list(range(real + 1, length + 1)),
        [*packed.segments, Segment(real, length, ())],
        packed.reads,
    )


def shared_prefix(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """Length of the longest common prefix; bisects, so that the comparing runs at C speed."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _preorder(batch: list[Sequence]) -> list[int]:
    return sorted(range(len(batch)), key=lambda index: batch[index].ids)


def _append(packed: Packed, path: "_Path", ids: tuple[int, ...], shared: int) -> None:
    if shared == len(ids):
        return
    start = len(packed.ids)
    packed.ids.extend(ids[shared:])
    packed.positions.extend(range(shared, len(ids)))
    packed.subtree_end.extend([-1] * (len(ids) - shared))
    packed.segments.append(Segment(start, len(packed.ids), tuple(path.ranges)))
    path.extend((start, len(packed.ids)))


def _close(packed: Packed, ranges: list[Range]) -> None:
    """The subtrees of these tokens end here: no later sequence passes through them."""
    for start, end in ranges:
        packed.subtree_end[start:end] = [len(packed.ids)] * (end - start)


class _Path:
    """Flat ranges of the tokens from the root to the current leaf."""

    def __init__(self) -> None:
        self.ranges: list[Range] = []

    def extend(self, added: Range) -> None:
        if self.ranges and self.ranges[-1][1] == added[0]:
            added = (self.ranges.pop()[0], added[1])
        self.ranges.append(added)

    def cut(self, length: int) -> list[Range]:
        """Keep the first `length` tokens; return the ranges of the others."""
        dropped: list[Range] = []
        excess = sum(end - start for start, end in self.ranges) - length
        while excess > 0:
            start, end = self.ranges.pop()
            keep = max(start, end - excess)
            dropped.append((keep, end))
            if keep > start:
                self.ranges.append((start, keep))
            excess -= end - keep
        return dropped

    def flat_indices(self) -> list[int]:
        return [index for start, end in self.ranges for index in range(start, end)]
