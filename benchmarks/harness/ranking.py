"""How well scores rank the one right answer of each question, with intervals. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

_RESAMPLES = 5000
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Credit:
    """One question's contribution: `earned` out of `possible`."""

    earned: float
    possible: int = 1


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.2f}, {self.high:.2f}]"


def first(right: int, scores: Sequence[float]) -> Credit:
    """1 when the right one alone scores best; those tied at the top share the credit."""
    ahead, level = _ahead(right, scores)
    return Credit(0.0 if ahead else 1 / level)


def reciprocal_rank(right: int, scores: Sequence[float]) -> Credit:
    """1 / rank, averaged over the orders in which those tied with the right one could come."""
    ahead, level = _ahead(right, scores)
    ranks = range(ahead + 1, ahead + level + 1)
    return Credit(sum(1 / rank for rank in ranks) / level)


def pairs(right: int, scores: Sequence[float], others: Sequence[int]) -> Credit:
    """How many of `others` the right one outranks, ties half."""
    mine = scores[right]
    earned = sum(0.5 if scores[i] == mine else float(scores[i] < mine) for i in others)
    return Credit(earned, len(others))


def estimate(earnings: Sequence[Credit]) -> Estimate:
    """Credit earned of what was possible; a percentile bootstrap over questions, at least two."""
    earned = np.array([credit.earned for credit in earnings])
    possible = np.array([credit.possible for credit in earnings], dtype=float)
    drawn = bootstrap(
        (earned, possible),
        _share,
        paired=True,
        vectorized=True,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    return Estimate(float(_share(earned, possible)), float(drawn.low), float(drawn.high))


def difference(left: Sequence[Credit], right: Sequence[Credit]) -> Estimate:
    """How much more `left` earns than `right`, question by question; one credit for each."""
    both = zip(left, right, strict=True)
    return estimate([Credit(one.earned - other.earned) for one, other in both])


def _share(earned: _Floats, possible: _Floats, axis: int = -1) -> _Floats:
    share: _Floats = earned.sum(axis=axis) / possible.sum(axis=axis)
    return share


def _ahead(right: int, scores: Sequence[float]) -> tuple[int, int]:
    """How many score more than the right one, and how many, itself among them, as much."""
    mine = scores[right]
    return sum(score > mine for score in scores), sum(score == mine for score in scores)
