"""Chooses which waiting sequences share a batch: those that begin with the same tokens.

A prefix that several sequences of a batch share is computed once. In sorted order, the sequences
that share most are neighbors, and a stretch of neighbors costs exactly the tokens that each adds to
the one before it. So a batch is filled with *groups*, which are such stretches. A group starts from
the sequence that has waited longest and grows by whichever of its two neighbors shares more.

An example with one letter per token and room for 15 tokens. Six sequences wait, oldest first:

    0 promptA    1 other    2 promptB    3 mine    4 promptC    5 ox

    sorted           3 mine   1 other   5 ox   0 promptA   2 promptB   4 promptC
    shared with next          0         1      0           6           6

    group around 0   promptA costs 7; promptB, which shares 6, adds 1; promptC adds 1    9 of 15
    group around 1   other costs 5; ox, which shares 1, adds 1                          15 of 15
    group around 3   mine costs 4, which does not fit: it waits for the next batch

    batch            0, 1, 2, 4, 5

Sequences that share at least 1/256 of the token budget are batched together when they fit; those
that share 1/8 are *inseparable* and not split. When inseparable neighbors of a group do not fit,
the batch may grow up to `max_tokens` for the group of the oldest sequence, which is split only if
even that is too little. Any other group then waits as a whole. A prefix that all sequences of the
window share, as a system prompt, relates none of them.
"""

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple, Protocol

from reward_model.packing import Sequence, shared_prefix

_RELATED, _INSEPARABLE = 1 / 256, 1 / 8
"""Shares of the token budget that two sequences have in common. Split, they have that much computed
again, which is noise below the first and a loss of throughput above the second."""


class Grouping(Protocol):
    """Chooses the sequences of a batch."""

    def choose(
        self, window: list[Sequence], room: int, *, leads: bool, may_split: bool
    ) -> list[int]:
        """Return the indices of the chosen sequences, ascending.

        Args:
            window: waiting sequences, oldest first; at least one.
            room: new tokens that the batch still has room for.
            leads: whether the batch is empty. Then the oldest sequence is chosen whatever it costs,
                so that none starves. Otherwise, if the oldest does not fit, nothing is chosen, as
                younger ones would overtake it once more.
            may_split: whether inseparable sequences may be split to keep the batch short.
        """


@dataclass(frozen=True, slots=True)
class ArrivalGrouping:
    """Chooses in order of arrival, for an engine that computes every token of every sequence."""

    def choose(
        self, window: list[Sequence], room: int, *, leads: bool, may_split: bool
    ) -> list[int]:
        del may_split  # Nothing is shared, so nothing is lost by splitting.
        if leads:
            room = max(room, window[0].tokens_apart)
        ends = accumulate(sequence.tokens_apart for sequence in window)
        return [index for index, end in enumerate(ends) if end <= room]


@dataclass(frozen=True, slots=True)
class PrefixGrouping:
    """Chooses groups of sequences that share a prefix, for an engine that computes it once.

    Args:
        batch_tokens: the budget of new tokens in a batch.
        max_tokens: what a batch may hold rather than split inseparable sequences.
    """

    batch_tokens: int
    max_tokens: int

    def choose(
        self, window: list[Sequence], room: int, *, leads: bool, may_split: bool = False
    ) -> list[int]:
        related = max(1, int(self.batch_tokens * _RELATED))
        inseparable = math.inf if may_split else max(1, int(self.batch_tokens * _INSEPARABLE))
        neighbors = _Neighbors(window, related, inseparable)
        if leads:
            room = max(room, len(window[0].ids))
            extra = 0 if may_split else max(0, self.max_tokens - room)
            group = neighbors.grow(0, room, extra)
            neighbors.choose(group)
            room -= group.cost
            if neighbors.all_inseparable:
                room += extra
        for index in range(len(window)):
            if index in neighbors.chosen or index in neighbors.passed_over:
                continue
            group = neighbors.grow(index, room)
            if group.cost <= room and not group.split:
                neighbors.choose(group)
                room -= group.cost
            elif neighbors.chosen:
                neighbors.pass_over(group)
            else:
                break
        return sorted(neighbors.chosen)


class _Group(NamedTuple):
    """The sequences at the places [low, high] of the sorted window.

    Attributes:
        cost: new tokens that the group adds to the batch.
        split: whether an inseparable neighbor is left out because it does not fit.
    """

    low: int
    high: int
    cost: int
    split: bool = False


class _Neighbor(NamedTuple):
    """A sequence beside a group; the maximum of several is the one to add first.

    Attributes:
        shared: tokens that it shares with the group.
        youth: minus its index in the window, so that of equally related ones the oldest is first.
        place: its place in the sorted window.
        cost: new tokens that it adds to the group.
    """

    shared: int
    youth: int
    place: int
    cost: int


class _Neighbors:
    """A window in sorted order.

    Args:
        related: tokens, beyond what the whole window shares, from which a neighbor joins a group.
        inseparable: shared tokens from which it should not be split from the group.

    Attributes:
        all_inseparable: whether no sequence of the window should be split from any other.
        chosen: indices of the sequences that are in the batch.
        passed_over: indices of the sequences that have to wait.
    """

    def __init__(self, window: list[Sequence], related: int, inseparable: float) -> None:
        self._inseparable = inseparable
        self._order = sorted(range(len(window)), key=lambda index: window[index].ids)
        self._place_of = {index: place for place, index in enumerate(self._order)}
        self._lengths = [len(window[index].ids) for index in self._order]
        texts = [window[index].ids for index in self._order]
        # shared[p] is what the sequences at the places p and p + 1 share.
        self._shared = [shared_prefix(left, right) for left, right in pairwise(texts)]
        self._common = min(self._shared, default=len(texts[0]))
        self._related = self._common + related
        self.all_inseparable = self._common >= inseparable
        self.chosen: set[int] = set()
        self.passed_over: set[int] = set()

    def choose(self, group: _Group) -> None:
        self.chosen.update(self._order[group.low : group.high + 1])

    def pass_over(self, group: _Group) -> None:
        """Let the group wait, and start no other group from any of its sequences."""
        self.passed_over.update(self._order[group.low : group.high + 1])

    def grow(self, index: int, room: int, extra: int = 0) -> _Group:
        """Grow a group around one sequence, which is in it even if it does not fit itself.

        Args:
            room: new tokens that the group may cost.
            extra: tokens beyond `room` that it may cost in order not to be split.
        """
        low = high = self._place_of[index]
        # What all of the window share is in the batch as soon as anything is.
        cost = self._lengths[low] - (self._common if self.chosen else 0)
        whole: _Group | None = None
        while True:
            beside = self._beside(low, high)
            inseparable = [each for each in beside if each.shared >= self._inseparable]
            if not inseparable:
                # The group may end here without a loss, and only related neighbors are left. The
                # batch does not grow for those.
                whole, extra = _Group(low, high, cost), 0
            options = inseparable or beside
            fitting = [each for each in options if each.cost <= room + extra - cost]
            # If a neighbor was passed over, its group did not fit, and no part of it should go.
            if not fitting or any(self._order[each.place] in self.passed_over for each in options):
                break
            best = max(fitting)
            low, high, cost = min(low, best.place), max(high, best.place), cost + best.cost
        # A neighbor that brought only a part of its own inseparable group is left out again.
        if inseparable and whole:
            return whole
        return _Group(low, high, cost, split=bool(inseparable))

    def _beside(self, low: int, high: int) -> list[_Neighbor]:
        """Return the related neighbors of a group that are not chosen yet."""
        found = []
        # What a neighbor shares stands at the lower one of the two places.
        for place, shared_at in ((low - 1, low - 1), (high + 1, high)):
            if 0 <= place < len(self._order) and self._order[place] not in self.chosen:
                shared = self._shared[shared_at]
                if shared >= self._related:
                    cost = self._lengths[place] - shared
                    found.append(_Neighbor(shared, -self._order[place], place, cost))
        return found
