"""Best-of-N, exactly: what is expected of N candidates drawn from the M there are."""

from collections.abc import Sequence
from itertools import groupby
from math import comb


def best_of(scores: Sequence[float], correct: Sequence[float], n: int) -> float:
    """Probability that the best of `n` of the candidates is right, ties shared.

    The best is in a tie group that ends at place j, counted from the worst, when the draw holds
    one of the group and nothing above: C(j, n) - C(i, n) of C(M, n) draws, where i is its start.
    """
    candidates = len(scores)
    assert 0 < n <= candidates
    ranked = sorted(zip(scores, correct, strict=True))
    total, start = 0.0, 0
    for _, tied in groupby(ranked, key=lambda pair: pair[0]):
        labels = [label for _, label in tied]
        end = start + len(labels)
        draws = comb(end, n) - comb(start, n)
        total += sum(labels) / len(labels) * (draws / comb(candidates, n))
        start = end
    return total


def oracle(correct: Sequence[float], n: int) -> float:
    """Probability that `n` of the candidates hold a right one: no ranking gets more."""
    return best_of(correct, correct, n)


def top(scores: Sequence[float], correct: Sequence[float]) -> float:
    """Share of right ones among those that score highest of all."""
    return best_of(scores, correct, len(scores))
