"""Which of the jobs that wait belong in one batch: those whose texts begin alike.

Sorted by their ids, texts that share most are neighbours, and a run of neighbours costs exactly
what each adds to the one before it. So relatives are gathered as runs: one around the text that
waited longest, then around what waited longest of the rest, for as long as there is room. What all
that wait have in common, as a system prompt, makes nobody a relative.
"""

from dataclasses import dataclass

from reward_model.packing import Sequence, shared_prefix

_NEAR, _DEAR = 256, 8
"""Shares of a batch that are worth overtaking others for, and worth a larger batch: torn apart,
relatives have that much computed again."""


@dataclass(frozen=True, slots=True)
class Affinity:
    """Gathers a batch's texts.

    Args:
        enough: new tokens that a batch may hold.
        most: what it may hold rather than tear near relatives apart.
    """

    enough: int
    most: int

    def gather(self, window: list[Sequence], room: int, *, leads: bool) -> list[int]:
        """Indices of what goes together, in the window's own order.

        Args:
            window: in the order in which it waits.
            room: new tokens that are left.
            leads: whether the batch is still empty. Its first is taken whatever it costs, with as
                many relatives as fit; of others only those that need not be torn apart. What fills
                a batch up is nothing where the first does not fit: it would be passed over again.
        """
        neighbours = _Neighbours(window, max(1, self.enough // _NEAR), max(1, self.enough // _DEAR))
        if leads:
            grows = room >= self.enough
            room = max(room, len(window[0].ids))
            reach = max(0, self.most - room) if grows else 0
            room -= neighbours.take(neighbours.run_around(0, room, reach))
            room += reach if neighbours.all_dear else 0
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
class _Run:
    """Places [low, high], their new tokens, and whether a near relative did not fit."""

    low: int
    high: int
    cost: int
    torn: bool = False


@dataclass(frozen=True, slots=True)
class _Neighbour:
    """`shared` tokens with the run, `cost` tokens of its own."""

    place: int
    shared: int
    cost: int


class _Neighbours:
    """A window's texts, each at its place among the sorted.

    Args:
        near: tokens shared beyond what all share, from which a neighbour belongs to a run.
        dear: tokens shared, from which it should not be torn from it.

    Attributes:
        all_dear: whether none of the texts should be torn from another.
        taken: indices of what is in a run.
    """

    def __init__(self, window: list[Sequence], near: int, dear: int) -> None:
        self._near, self._dear = near, dear
        self._order = sorted(range(len(window)), key=lambda index: window[index].ids)
        self._places = {index: place for place, index in enumerate(self._order)}
        self._texts = [window[index].ids for index in self._order]
        self._common = shared_prefix(self._texts[0], self._texts[-1])
        self.all_dear = self._common >= dear
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
        """What fits into `room`, and of dear relatives into `reach` more; the first in any case."""
        place = self._places[index]
        run = _Run(place, place, len(self._texts[place]) - (self._common if self.taken else 0))
        while run.cost <= room + reach:
            beside = self._beside(run.low, run.low - 1), self._beside(run.high, run.high + 1)
            near = [neighbour for neighbour in beside if neighbour]
            dear = [neighbour for neighbour in near if neighbour.shared >= self._dear]
            fitting = [each for each in near if run.cost + each.cost <= room]
            fitting += [each for each in dear if run.cost + each.cost <= room + reach]
            if not fitting:
                return _Run(run.low, run.high, run.cost, torn=bool(dear))
            best = max(fitting, key=lambda each: (each.shared, -self._order[each.place]))
            ends = min(run.low, best.place), max(run.high, best.place)
            run = _Run(*ends, run.cost + best.cost)
        return run

    def _beside(self, edge: int, place: int) -> _Neighbour | None:
        if not 0 <= place < len(self._order) or self._order[place] in self.taken:
            return None
        shared = self._shared_with_next(min(edge, place))
        if shared - self._common < self._near:
            return None
        return _Neighbour(place, shared, len(self._texts[place]) - shared)

    def _shared_with_next(self, place: int) -> int:
        if place not in self._shared:
            self._shared[place] = shared_prefix(self._texts[place], self._texts[place + 1])
        return self._shared[place]
