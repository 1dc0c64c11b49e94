"""A figure and how far it can be trusted: percentile bootstrap over groups."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import DegenerateDataWarning, bootstrap

Sums = NDArray[np.float64]
Statistic = Callable[[Sums], Sums]
"""From column sums [..., columns] to the figure [...]."""

_RESAMPLES_AT_ONCE = 100
"""Of groups with all their columns, so that wide tables stay small in memory."""


@dataclass(frozen=True)
class Estimate:
    """A figure of `n` items and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Resampling:
    """How intervals are made."""

    resamples: int = 2000
    seed: int = 1


def ratio(above: Sums, below: Sums) -> Sums:
    """NaN where there is nothing to divide by."""
    quotient: Sums = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return quotient


def mean(sums: Sums) -> Sums:
    """Of two columns: what was added up, and how many."""
    return ratio(sums[..., 0], sums[..., 1])


def estimate(
    groups: Sequence[str],
    columns: Sums,
    statistic: Statistic,
    how: Resampling,
    *,
    n: int | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Estimate:
    """A statistic of column sums, its interval by resampling whole groups.

    Items of one group resemble each other, so they are drawn together.

    Args:
        groups: of each item.
        columns: [items, columns], what is added up.
        n: items that the figure counts, where an item is itself a sum.
        bounds: the interval of what a single group says about others, which is nothing.
    """
    sums = _by_group(groups, columns)
    value = float(statistic(sums.sum(axis=0)))
    count = len(groups) if n is None else n
    if len(sums) < 2:
        return Estimate(value, *bounds, count)
    low, high = _interval(sums, statistic, how)
    return Estimate(value, low, high, count)


def share(groups: Sequence[str], values: Sequence[float], how: Resampling) -> Estimate:
    """The mean of values, each between 0 and 1."""
    columns = np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)
    return estimate(groups, columns, mean, how)


def _by_group(groups: Sequence[str], columns: Sums) -> Sums:
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, index, columns)
    return sums


def _interval(sums: Sums, statistic: Statistic, how: Resampling) -> tuple[float, float]:
    with warnings.catch_warnings():
        # NaN where a resample holds none of what is counted; those are passed over below.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        drawn = bootstrap(
            (np.arange(len(sums)),),
            lambda index, axis: statistic(sums[index].sum(axis=axis - 1)),
            vectorized=True,
            batch=_RESAMPLES_AT_ONCE,
            n_resamples=how.resamples,
            method="percentile",
            rng=np.random.default_rng(how.seed),
        ).bootstrap_distribution
    kept = drawn[~np.isnan(drawn)]
    if not kept.size:
        return math.nan, math.nan
    low, high = np.percentile(kept, [2.5, 97.5])
    return float(low), float(high)
