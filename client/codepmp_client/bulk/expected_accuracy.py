"""Expected accuracy of best-of-n, by counting all draws of n of a prompt's candidates."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

# The curve goes as far as this share of the prompts have n candidates. Prompts with fewer are left
# out of all of it, so that the whole curve is over the same prompts.
MIN_SHARE = 0.9

# Of the normal distribution, for intervals of 95 %.
_Z = 1.959964


def best_of_n_accuracy(
    scores: Sequence[float], correct: Sequence[float], sizes: Sequence[int]
) -> list[float]:
    """Probability that the best-scored of n drawn candidates is right, ties shared, for each n.

    The exact estimator, the same as in the trainer's `evaluation/measures/best_of_n.py`: with the M
    candidates sorted by score, worst first, the best of a draw is in the group of equal scores
    [start, end) in C(end, n) - C(start, n) of the C(M, n) draws.
    """
    ranked = sorted(zip(scores, correct, strict=True))
    groups: list[tuple[int, float]] = []
    for _, tied in groupby(ranked, key=lambda pair: pair[0]):
        labels = [label for _, label in tied]
        # Ties are broken at random, so a group counts its share of right candidates.
        groups.append((len(labels), sum(labels) / len(labels)))
    accuracies = []
    for n in sizes:
        # C(end, n) / C(M, n), from the best group down. The binomials themselves have thousands of
        # digits for a thousand candidates.
        end, within, total = len(ranked), 1.0, 0.0
        for size, right in reversed(groups):
            below = within
            for position in range(end, end - size, -1):
                below *= max(0, position - n) / position
            total += right * (within - below)
            end, within = end - size, below
        accuracies.append(total)
    return accuracies


@dataclass(frozen=True)
class Share:
    """The mean over prompts of a figure between 0 and 1, with a normal interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass
class _Sums:
    """Sums over prompts, from which mean and interval follow."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, other: "_Sums") -> None:
        self.count += other.count
        self.total += other.total
        self.squares += other.squares

    def share(self) -> Share:
        mean = self.total / self.count
        if self.count < 2:
            # A single prompt tells nothing about others.
            return Share(mean, 0.0, 1.0)
        variance = max(0.0, self.squares - self.count * mean**2) / (self.count - 1)
        reach = _Z * math.sqrt(variance / self.count)
        return Share(mean, max(0.0, mean - reach), min(1.0, mean + reach))


@dataclass(frozen=True)
class CurvePoint:
    """Accuracies of one n.

    Attributes:
        n: candidates of a draw; None for all of a prompt, however many they are.
        mean: share of right candidates, which is also the accuracy of a random choice.
        oracle: share of draws that hold a right candidate, which no choice exceeds.
    """

    n: int | None
    best: Share
    mean: Share
    oracle: Share


@dataclass
class AccuracyCurve:
    """Adds up prompts; its memory does not grow with their number."""

    # By the number of candidates, and by n (0 for all): best of n, mean and oracle.
    _sums: dict[int, dict[int, tuple[_Sums, _Sums, _Sums]]] = field(default_factory=dict)

    def add(self, scores: Sequence[float], correct: Sequence[float]) -> None:
        """Count one prompt, which has a candidate at least."""
        count = len(scores)
        sizes = [2**k for k in range(count.bit_length())]
        best = best_of_n_accuracy(scores, correct, [*sizes, count])
        oracle = best_of_n_accuracy(correct, correct, [*sizes, count])
        mean = sum(correct) / count
        by_size = self._sums.setdefault(count, defaultdict(lambda: (_Sums(), _Sums(), _Sums())))
        for n, won, found in zip([*sizes, 0], best, oracle, strict=True):
            for sums, value in zip(by_size[n], (won, mean, found), strict=True):
                sums.add(_Sums(1, value, value**2))

    @property
    def prompts(self) -> int:
        """The number of prompts that were added."""
        return sum(by_size[0][0].count for by_size in self._sums.values())

    def points(self) -> tuple[list[CurvePoint], int]:
        """Return the curve, and how many prompts have too few candidates and are left out of it."""
        counted = {count: by_size[0][0].count for count, by_size in self._sums.items()}
        enough = MIN_SHARE * self.prompts
        sizes = [
            n
            for n in (2**k for k in range(max(counted, default=0).bit_length()))
            if sum(prompts for count, prompts in counted.items() if count >= n) >= enough
        ]
        if not sizes:
            return [], 0
        kept = [count for count in counted if count >= sizes[-1]]
        if any(count > sizes[-1] for count in kept):
            sizes.append(0)
        points = []
        for n in sizes:
            added = (_Sums(), _Sums(), _Sums())
            for count in kept:
                for sums, other in zip(added, self._sums[count][n], strict=True):
                    sums.add(other)
            best, mean, oracle = (sums.share() for sums in added)
            points.append(CurvePoint(n or None, best, mean, oracle))
        return points, self.prompts - sum(counted[count] for count in kept)
