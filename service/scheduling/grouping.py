"""Which of the jobs that wait belong in one batch: those whose texts begin alike.

Sorted by their ids, texts that share most are neighbours, and a run of neighbours costs exactly
what each adds to the one before it. So relatives are gathered as runs: one around the text that
waited longest, then around what waited longest of the rest, for as long as there is room. What all
that wait have in common, as a system prompt, makes nobody a relative.
"""

import math
from dataclasses import dataclass, replace

from reward_model.packing import Sequence, shared_prefix

_RELATED, _CLOSE = 1 / 256, 1 / 8
"""Shares of a batch that two texts have in common from which they go together, and from which they
are kept together: torn apart, they have that much computed again."""


@dataclass(frozen=True, slots=True)
class PrefixGrouping:
    """Gathers a batch's texts.

    Args:
        enough: new tokens that a batch may hold.
        most: what it may hold rather than tear close relatives apart.
    """

    enough: int
    most: int

    def gather(
        self, window: list[Sequence], room: int, *, leads: bool, keeps: bool = True
    ) -> list[int]:
        """Indices of what goes together, in the window's own order.

        Args:
            window: in the order in which it waits.
            room: new tokens that are left.
            leads: whether the batch is still empty. Its first is taken whatever it costs, with as
                many relatives as fit. What fills a batch up is nothing where the first does not
                fit: it would be passed over again.
            keeps: whether close relatives are kept together: the batch grows for those of its
                first, and of others none is taken without them.
        """
        close = max(1, int(self.enough * _CLOSE)) if keeps else math.inf
        neighbours = _Neighbours(window, max(1, int(self.enough * _RELATED)), close)
        if leads:
            room = max(room, len(window[0].ids))
            reach = max(0, self.most - room) if keeps else 0
            room -= neighbours.take(neighbours.run_around(0, room, reach))
            room += reach if neighbours.all_close else 0
        for index in range(len(window)):
            if neighbours.unseen(index):
                run = neighbours.run_around(index, room)
                if run.cost <= room and not run.torn:
                    room -= neighbours.take(run)
                elif neighbours.taken:
                    neighbours.pass_over(run)
                else:
                    break
        return sorted(neighbours.taken)


@dataclass(frozen=True, slots=True)
class _Neighbour:
    """`shared` tokens with the run, `cost` tokens of its own."""

    place: int
    shared: int
    cost: int


@dataclass(frozen=True, slots=True)
class _Run:
    """Places [low, high], their new tokens, and whether a close relative did not fit."""

    low: int
    high: int
    cost: int
    torn: bool = False

    def grown(self, by: _Neighbour) -> "_Run":
        return _Run(min(self.low, by.place), max(self.high, by.place), self.cost + by.cost)


class _Neighbours:
    """A window's texts, each at its place among the sorted.

    Args:
        related: tokens shared beyond what all share, from which a neighbour belongs to a run.
        close: tokens shared from which it should not be torn from it.

    Attributes:
        all_close: whether none of the texts should be torn from another.
        taken: indices of what is in a run.
    """

    def __init__(self, window: list[Sequence], related: int, close: float) -> None:
        self._related, self._close = related, close
        self._order = sorted(range(len(window)), key=lambda index: window[index].ids)
        self._places = {index: place for place, index in enumerate(self._order)}
        self._texts = [window[index].ids for index in self._order]
        self._common = shared_prefix(self._texts[0], self._texts[-1])
        self.all_close = self._common >= close
        self._shared: dict[int, int] = {}
        self.taken: set[int] = set()
        self._passed_over: set[int] = set()

    def unseen(self, index: int) -> bool:
        return index not in self.taken and index not in self._passed_over

    def take(self, run: _Run) -> int:
        """The run is in no other any more; what it costs."""
        self.taken.update(self._order[run.low : run.high + 1])
        return run.cost

    def pass_over(self, run: _Run) -> None:
        """Do not begin with any of it again."""
        self._passed_over.update(self._order[run.low : run.high + 1])

    def run_around(self, index: int, room: int, reach: int = 0) -> _Run:
        """What fits into `room`, and of close relatives into `reach` more; the first in any case.

        Of a distant relative's close ones all or none are in it.
        """
        place = self._places[index]
        run = _Run(place, place, len(self._texts[place]) - (self._common if self.taken else 0))
        complete: _Run | None = None
        while True:
            related = [each for each in self._beside(run) if each]
            close = [each for each in related if each.shared >= self._close]
            if not close:
                complete, reach = run, 0
            best = self._best(close or related, room + reach - run.cost)
            if not best:
                break
            run = run.grown(best)
        return complete if close and complete else replace(run, torn=bool(close))

    def _best(self, neighbours: list[_Neighbour], room: int) -> _Neighbour | None:
        """None also where relatives of theirs did not fit before."""
        if any(self._order[each.place] in self._passed_over for each in neighbours):
            return None
        fitting = [each for each in neighbours if each.cost <= room]
        return max(fitting, key=lambda each: (each.shared, -self._order[each.place]), default=None)

    def _beside(self, run: _Run) -> tuple[_Neighbour | None, _Neighbour | None]:
        return self._neighbour(run.low, run.low - 1), self._neighbour(run.high, run.high + 1)

    def _neighbour(self, edge: int, place: int) -> _Neighbour | None:
        if not 0 <= place < len(self._order) or self._order[place] in self.taken:
            return None
        shared = self._shared_with_next(min(edge, place))
        if shared - self._common < self._related:
            return None
        return _Neighbour(place, shared, len(self._texts[place]) - shared)

    def _shared_with_next(self, place: int) -> int:
        if place not in self._shared:
            self._shared[place] = shared_prefix(self._texts[place], self._texts[place + 1])
        return self._shared[place]
