"""Voting over final answers: what is expected of N candidates drawn from the M there are.

A class is what candidates agree on; `NO_ANSWER` candidates are drawn and vote for nothing. A vote
in which nobody votes is lost.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

NO_ANSWER = -1

MOST_SUBSETS = 20_000
"""Weighted votes are exact while there are no more ways to draw."""

DRAWS = 2_000
"""Of those that stand for all where there are more."""

Floats = NDArray[np.float64]


def majority(
    classes: Sequence[int], correct: Sequence[float], sizes: Sequence[int]
) -> dict[int, float]:
    """Probability for each N that the largest class is right, ties shared; exact.

    Counts draws by generating functions: for each size t of the largest class, a polynomial in the
    number drawn, apart for the number of classes that reach t.
    """
    counts = Counter(label for label in classes if label != NO_ANSWER)
    right = _share_right(classes, correct)
    most, silent = max(sizes), sum(label == NO_ANSWER for label in classes)
    won = np.zeros(most + 1)
    for largest in range(1, min(most, max(counts.values(), default=0)) + 1):
        won += _won_at(largest, counts, right, most)
    won = np.convolve(won, [float(comb(silent, drawn)) for drawn in range(silent + 1)])
    return {n: float(won[n]) / comb(len(classes), n) for n in sizes}


def weighted(
    classes: Sequence[int], scores: Sequence[float], correct: Sequence[float], n: int
) -> float:
    """Probability that the class of the largest sum of exp(score) is right, ties shared.

    An offset of all scores, which a ranking loss leaves open, changes nothing.
    """
    labels = sorted(set(classes) - {NO_ANSWER})
    if not labels:
        return 0.0
    strength = np.exp(np.array(scores) - max(scores))
    votes = np.stack([strength * (np.array(classes) == label) for label in labels], axis=1)
    sums = _subsets(len(classes), n) @ votes
    best = sums.max(axis=1, keepdims=True)
    tied = (sums >= best * (1 - 1e-12)) & (best > 0)
    share = _share_right(classes, correct)
    right = tied @ np.array([share[label] for label in labels])
    return float(np.mean(right / np.maximum(tied.sum(axis=1), 1)))


def is_exact(candidates: int, n: int) -> bool:
    """Whether `weighted` counts every draw."""
    return comb(candidates, n) <= MOST_SUBSETS


def _won_at(largest: int, counts: Counter[int], right: dict[int, float], most: int) -> Floats:
    """Weighted number of draws, by their size, whose largest class has `largest` members."""
    reached = most // largest
    ways = np.zeros((reached + 1, most + 1))  # [classes that reach it, drawn]
    ways[0, 0] = 1.0
    credit = np.zeros_like(ways)  # the same, times the sum of what those classes are worth
    for label, size in counts.items():
        below_ways, below_credit = _below(ways, size, largest), _below(credit, size, largest)
        if size >= largest:
            chosen = float(comb(size, largest))
            up, up_credit = np.zeros_like(ways), np.zeros_like(ways)
            up[1:, largest:] = chosen * ways[:-1, :-largest]
            up_credit[1:, largest:] = chosen * credit[:-1, :-largest]
            below_ways, below_credit = below_ways + up, below_credit + up_credit + right[label] * up
        ways, credit = below_ways, below_credit
    won: Floats = (credit[1:] / np.arange(1, reached + 1)[:, None]).sum(axis=0)
    return won


def _below(table: Floats, size: int, largest: int) -> Floats:
    """Draw fewer than `largest` of a class of `size`, in all ways."""
    drawn = np.zeros_like(table)
    width = table.shape[1]
    for count in range(min(size, largest - 1, width - 1) + 1):
        drawn[:, count:] += comb(size, count) * table[:, : width - count]
    return drawn


def _share_right(classes: Sequence[int], correct: Sequence[float]) -> dict[int, float]:
    """By class: candidates that agree should be labelled alike, and are not always."""
    labelled = list(zip(classes, correct, strict=True))
    return {
        label: float(np.mean([right for of, right in labelled if of == label]))
        for label in set(classes)
    }


@lru_cache(maxsize=32)
def _subsets(candidates: int, n: int) -> Floats:
    """Membership [draws, candidates]: all subsets, or a fixed sample where they are too many."""
    if is_exact(candidates, n):
        drawn = np.array(list(combinations(range(candidates), n)))
    else:
        order = np.tile(np.arange(candidates), (DRAWS, 1))
        drawn = np.random.default_rng(0).permuted(order, axis=1)[:, :n]
    members = np.zeros((len(drawn), candidates))
    np.put_along_axis(members, drawn, 1.0, axis=1)
    return members
