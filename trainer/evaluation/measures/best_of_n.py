"""Exact best-of-N: the expectation over all draws of N candidates from the M that there are."""

from collections.abc import Sequence
from itertools import groupby
from math import comb


def best_of(scores: Sequence[float], correct: Sequence[float], n: int) -> float:
    """Probability that the best-scored of `n` drawn candidates is right, ties shared.

    Computed by counting, not sampled. Sort the candidates by score, worst first, into groups of
    equal score [start, end). The best of a draw is in such a group if the draw holds one of the
    group and nothing above it: C(end, n) - C(start, n) of the C(M, n) draws.
    """
    candidates = len(scores)
    assert 0 < n <= candidates
    # Sorted by score and then by label, whose order within a group of equal scores is irrelevant.
    ranked = sorted(zip(scores, correct, strict=True))
    total, start = 0.0, 0
    for _, tied in groupby(ranked, key=lambda pair: pair[0]):
        # Ties are broken at random, so a group counts its share of right candidates.
        labels = [label for _, label in tied]
        end = start + len(labels)
        draws = comb(end, n) - comb(start, n)
        total += sum(labels) / len(labels) * (draws / comb(candidates, n))
        start = end
    return total


def oracle(correct: Sequence[float], n: int) -> float:
    """Probability that `n` drawn candidates hold a right one: pass@n, which no ranking exceeds."""
    return best_of(correct, correct, n)


def top(scores: Sequence[float], correct: Sequence[float]) -> float:
    """Share of right ones among the candidates with the highest score."""
    return best_of(scores, correct, len(scores))
