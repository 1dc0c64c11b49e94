"""Majority votes over final answers: the expectation over all draws of N of the M candidates.

Candidates with equal final answers form a class. Candidates without an answer (`NO_ANSWER`) are
drawn and do not vote; a draw in which nobody votes is lost. Wang et al. 2023 (arXiv 2203.11171)
call the plain vote self-consistency.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

NO_ANSWER = -1

# Weighted votes are exact up to this number of possible draws, 40 MB at 256 candidates.
MAX_SUBSETS = 20_000
# Beyond it they are estimated from this many random draws, the same ones each time.
DRAWS = 2_000

Floats = NDArray[np.float64]


def majority(
    classes: Sequence[int], correct: Sequence[float], sizes: Sequence[int]
) -> dict[int, float]:
    """Probability for each N that the largest class is right, ties shared; exact.

    Counts draws by generating functions. For each possible size of the largest class, a polynomial
    in the number of drawn candidates is multiplied up class by class; it is kept apart for the
    number of classes that reach that size, because they share the vote.
    """
    counts = Counter(label for label in classes if label != NO_ANSWER)
    right = accuracy_by_class(classes, correct)
    max_n, silent = max(sizes), sum(label == NO_ANSWER for label in classes)
    won = np.zeros(max_n + 1)
    for largest in range(1, min(max_n, max(counts.values(), default=0)) + 1):
        won += won_by_size(largest, counts, right, max_n)
    # Candidates without an answer fill up a draw in any way.
    won = np.convolve(won, [float(comb(silent, drawn)) for drawn in range(silent + 1)])
    return {n: float(won[n]) / comb(len(classes), n) for n in sizes}


def won_by_size(largest: int, counts: Counter[int], right: dict[int, float], max_n: int) -> Floats:
    """For each draw size, the won share of the draws whose largest class has `largest` members.

    Draws count by their number; a draw that k classes tie in counts the mean of their accuracies.
    """
    max_tied = max_n // largest
    # [classes that reach `largest`, candidates drawn]: the number of ways to draw so far, and that
    # number times the summed accuracies of the classes that reach it.
    ways = np.zeros((max_tied + 1, max_n + 1))
    ways[0, 0] = 1.0
    credit = np.zeros_like(ways)
    for label, size in counts.items():
        new_ways, new_credit = np.zeros_like(ways), np.zeros_like(ways)
        # Fewer than `largest` of this class are drawn, in comb(size, drawn) ways,
        for drawn in range(min(size, largest - 1, max_n) + 1):
            width = max_n + 1 - drawn
            new_ways[:, drawn:] += comb(size, drawn) * ways[:, :width]
            new_credit[:, drawn:] += comb(size, drawn) * credit[:, :width]
        # or exactly `largest`: then one class more is tied.
        if size >= largest:
            tied_ways = comb(size, largest) * ways[:-1, :-largest]
            tied_credit = comb(size, largest) * credit[:-1, :-largest]
            new_ways[1:, largest:] += tied_ways
            new_credit[1:, largest:] += tied_credit + right[label] * tied_ways
        ways, credit = new_ways, new_credit
    won: Floats = (credit[1:] / np.arange(1, max_tied + 1)[:, None]).sum(axis=0)
    return won


def weighted(
    classes: Sequence[int], scores: Sequence[float], correct: Sequence[float], n: int
) -> float:
    """Probability that the class with the largest sum of exp(score) is right, ties shared.

    An offset of all scores, which a ranking loss leaves open, changes nothing.
    """
    labels = sorted(set(classes) - {NO_ANSWER})
    if not labels:
        return 0.0
    # Less the maximum, so that exp cannot overflow.
    strength = np.exp(np.array(scores) - max(scores))
    votes = np.stack([strength * (np.array(classes) == label) for label in labels], axis=1)
    sums = draws_of(len(classes), n) @ votes
    best = sums.max(axis=1, keepdims=True)
    # Sums of the same numbers in another order differ by rounding.
    tied = (sums >= best * (1 - 1e-12)) & (best > 0)
    accuracy = accuracy_by_class(classes, correct)
    right = tied @ np.array([accuracy[label] for label in labels])
    return float(np.mean(right / np.maximum(tied.sum(axis=1), 1)))


def is_exact(candidates: int, n: int) -> bool:
    """Whether `weighted` counts every draw."""
    return comb(candidates, n) <= MAX_SUBSETS


def accuracy_by_class(classes: Sequence[int], correct: Sequence[float]) -> dict[int, float]:
    """Share of right candidates in each class: equal answers are not always labelled alike."""
    labelled = list(zip(classes, correct, strict=True))
    return {
        label: float(np.mean([right for other, right in labelled if other == label]))
        for label in set(classes)
    }


@lru_cache(maxsize=32)
def draws_of(candidates: int, n: int) -> Floats:
    """Membership [draws, candidates] of all draws, or of a fixed sample if they are too many."""
    if is_exact(candidates, n):
        drawn = np.array(list(combinations(range(candidates), n)))
    else:
        order = np.tile(np.arange(candidates), (DRAWS, 1))
        drawn = np.random.default_rng(0).permuted(order, axis=1)[:, :n]
    members = np.zeros((len(drawn), candidates))
    np.put_along_axis(members, drawn, 1.0, axis=1)
    return members
