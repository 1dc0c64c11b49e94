"""Which of the jobs that wait belong in one batch: those whose texts begin alike.

Sorted by their ids, texts that share most are neighbours, and a run of neighbours costs exactly
what each adds to the one before it. So a batch grows as a run around the job that waited longest.
"""

from dataclasses import dataclass

from reward_model.packing import Sequence, shared_prefix

Ids = tuple[int, ...]


def run_around_first(window: list[Sequence], room: int) -> list[int]:
    """Indices of a run of neighbours around the window's first, in the window's own order.

    The run grows to the side that shares more with it, of equals to what waited longer, as long as
    the new tokens fit into `room`. The first is in it whatever it costs.
    """
    order = sorted(range(len(window)), key=lambda index: window[index].ids)
    texts = [window[index].ids for index in order]
    low = high = order.index(0)
    room -= len(texts[low])
    while True:
        beside = _beside(texts, low, low - 1), _beside(texts, high, high + 1)
        fitting = [neighbour for neighbour in beside if neighbour and neighbour.cost <= room]
        if not fitting:
            return sorted(order[low : high + 1])
        best = max(fitting, key=lambda neighbour: (neighbour.shared, -order[neighbour.place]))
        low, high = min(low, best.place), max(high, best.place)
        room -= best.cost


@dataclass(frozen=True, slots=True)
class _Neighbour:
    """`shared` tokens with the run, `cost` tokens of its own."""

    place: int
    shared: int
    cost: int


def _beside(texts: list[Ids], edge: int, place: int) -> _Neighbour | None:
    if not 0 <= place < len(texts):
        return None
    shared = shared_prefix(texts[edge], texts[place])
    return _Neighbour(place, shared, len(texts[place]) - shared)
