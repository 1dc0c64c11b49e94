"""Turns token sequences into a prefix tree, and the tree into one flat batch.

It is pure Python without torch, because the scheduler uses it, which must not import torch.

The tree is never built as nodes. In lexicographic order, sequences visit their prefix tree in
preorder, and the longest prefix that a sequence shares with *any* earlier one is the prefix it
shares with its predecessor. So each sequence adds only the tokens past that prefix (one `Segment`),
and a token's subtree is the contiguous flat range that follows it:

    "a b c", "a b d", "a e"   ->   flat index     0 1 2 3 4
                                   token          a b c d e
                                   position       0 1 2 2 1
                                   subtree_end    5 4 3 4 5

One rule gives every attention mask: token q sees token k exactly when `k <= q < subtree_end[k]`.
"""

from dataclasses import dataclass

Range = tuple[int, int]
"""Half-open range of flat indices."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A text to score: its token ids, and the token positions at which its scores are read.

    `token_types` are the segments of the tokens, for models that are fed with them; empty where all
    are 0. Only whole texts have any, so they play no part in sharing prefixes.
    """

    ids: tuple[int, ...]
    read_at: tuple[int, ...]
    token_types: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        assert self.ids, "a sequence has at least one token"
        assert len(self.token_types) in (0, len(self.ids)), "each token has a type, or none has"
        assert all(0 <= position < len(self.ids) for position in self.read_at)

    @property
    def tokens_apart(self) -> int:
        """Tokens that are computed where nothing is shared: each earlier read is a text as well."""
        return len(self.ids) + sum(position + 1 for position in self.read_at[:-1])


@dataclass(frozen=True, slots=True)
class Segment:
    """The flat range [start, end) that one sequence adds, and the ranges of all its ancestors."""

    start: int
    end: int
    past: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """A prefix tree in preorder, T tokens long.

    Attributes:
        ids: [T] token ids.
        positions: [T] distance of each token from the root of the tree.
        subtree_end: [T] where each token's subtree ends: q sees k when `k <= q < subtree_end[k]`.
        segments: in flat order; together they cover the T tokens.
        reads: for each sequence of the batch, in the batch's order, the flat indices to read.
    """

    ids: list[int]
    positions: list[int]
    subtree_end: list[int]
    segments: list[Segment]
    reads: list[list[int]]


def new_tokens(batch: list[Sequence], *, shares_prefixes: bool = True) -> list[int]:
    """Count the tokens that each sequence adds to the batch's prefix tree: the batch's cost.

    An engine that does not share prefixes computes all tokens of every sequence, and once more
    those up to each further position that is read.
    """
    if not shares_prefixes:
        return [sequence.tokens_apart for sequence in batch]
    counts = [0] * len(batch)
    previous: tuple[int, ...] = ()
    for index in _preorder(batch):
        ids = batch[index].ids
        counts[index] = len(ids) - shared_prefix(previous, ids)
        previous = ids
    return counts


def pack(batch: list[Sequence]) -> Packed:
    """Lay the batch's prefix tree out flat, so that every distinct prefix is computed once."""
    packed = Packed([], [], [], [], [[] for _ in batch])
    path = _Path()
    previous: tuple[int, ...] = ()
    for index in _preorder(batch):
        sequence = batch[index]
        shared = shared_prefix(previous, sequence.ids)
        _close(packed, path.cut(shared))
        # A sequence that equals its predecessor adds no tokens and so no segment.
        if shared < len(sequence.ids):
            start = len(packed.ids)
            packed.ids.extend(sequence.ids[shared:])
            packed.positions.extend(range(shared, len(sequence.ids)))
            # The end of a subtree is known only when the path leaves it: see `_close`.
            packed.subtree_end.extend([-1] * (len(sequence.ids) - shared))
            packed.segments.append(Segment(start, len(packed.ids), tuple(path.ranges)))
            path.extend((start, len(packed.ids)))
        flat = path.flat_indices()
        packed.reads[index] = [flat[position] for position in sequence.read_at]
        previous = sequence.ids
    _close(packed, path.cut(0))
    return packed


def text_of(packed: Packed, index: int) -> Sequence:
    """Return a sequence of the batch, up to the last token that is read of it."""
    reads = packed.reads[index]
    last = max(reads)
    path = [flat for flat in range(last + 1) if last < packed.subtree_end[flat]]
    return Sequence(
        tuple(packed.ids[flat] for flat in path), tuple(packed.positions[flat] for flat in reads)
    )


def padded(packed: Packed, length: int) -> Packed:
    """Return the same tree with padding tokens at its end, `length` tokens in all."""
    real = len(packed.ids)
    padding = length - real
    assert padding >= 0, "a packed batch is never cut"
    if not padding:
        return packed
    return Packed(
        packed.ids + [0] * padding,
        # Position 0 exists in every model, however few positions it has.
        packed.positions + [0] * padding,
        # Each padding token sees itself alone, so a block mask can skip their blocks.
        packed.subtree_end + list(range(real + 1, length + 1)),
        # One segment makes them one attention call where segments are attended one by one. There
        # they see each other, which changes nothing: they are never read and no text sees them.
        [*packed.segments, Segment(real, length, ())],
        packed.reads,
    )


def shared_prefix(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """Return the length of the longest common prefix."""
    # Bisection compares slices, which runs at C speed; a loop over tokens would run in Python.
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


def _close(packed: Packed, ranges: list[Range]) -> None:
    """End the subtrees of these tokens here: no later sequence passes through them."""
    for start, end in ranges:
        packed.subtree_end[start:end] = [len(packed.ids)] * (end - start)


class _Path:
    """Flat ranges of the tokens from the root to the current leaf."""

    def __init__(self) -> None:
        self.ranges: list[Range] = []

    def extend(self, added: Range) -> None:
        # Adjacent ranges are joined, so that an unbranched text stays one range.
        if self.ranges and self.ranges[-1][1] == added[0]:
            added = (self.ranges.pop()[0], added[1])
        self.ranges.append(added)

    def cut(self, length: int) -> list[Range]:
        """Keep the first `length` tokens and return the ranges of the others."""
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
