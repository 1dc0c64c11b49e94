"""A figure with its confidence interval: the percentile bootstrap over groups.

The bootstrap resamples whole groups with replacement (a cluster bootstrap; Efron and Tibshirani,
An Introduction to the Bootstrap, chapters 8 and 13), because items of one group are alike.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import DegenerateDataWarning, bootstrap

Sums = NDArray[np.float64]
Statistic = Callable[[Sums], Sums]
"""Computes figures [...] from column sums [..., columns]."""

# Resamples that are held at a time, each with all columns: bounds the memory of wide tables.
BATCH = 100


@dataclass(frozen=True)
class Estimate:
    """A figure over `n` items and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Resampling:
    """Number and seed of the bootstrap's resamples."""

    resamples: int = 2000
    seed: int = 1


def ratio(above: Sums, below: Sums) -> Sums:
    """Divide; NaN where the denominator is not positive."""
    quotient: Sums = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return quotient


def mean(sums: Sums) -> Sums:
    """The mean from two columns: a sum, and the number of items in it."""
    return ratio(sums[..., 0], sums[..., 1])


def estimate(
    groups: Sequence[str],
    columns: Sums,
    statistic: Statistic,
    resampling: Resampling,
    *,
    n: int | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Estimate:
    """Compute a statistic of column sums with its interval.

    A statistic of sums can be resampled without looking at items again: a resample adds up the
    sums of the groups that it drew.

    Args:
        groups: group of each item.
        columns: [items, columns], the values that are added up.
        n: number of items that the figure counts, if an item is itself a sum.
        bounds: range of the statistic, which is the interval if there is a single group: it tells
            nothing about others.
    """
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, index, columns)
    value = float(statistic(sums.sum(axis=0)))
    count = len(groups) if n is None else n
    if len(sums) < 2:
        return Estimate(value, *bounds, count)
    with warnings.catch_warnings():
        # The statistic is NaN if a resample holds nothing that counts; those are dropped below.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        drawn = bootstrap(
            (np.arange(len(sums)),),
            lambda index, axis: statistic(sums[index].sum(axis=axis - 1)),
            vectorized=True,
            batch=BATCH,
            n_resamples=resampling.resamples,
            method="percentile",
            rng=np.random.default_rng(resampling.seed),
        ).bootstrap_distribution
    kept = drawn[~np.isnan(drawn)]
    if not kept.size:
        return Estimate(value, math.nan, math.nan, count)
    low, high = np.percentile(kept, [2.5, 97.5])
    return Estimate(value, float(low), float(high), count)


def share(groups: Sequence[str], values: Sequence[float], resampling: Resampling) -> Estimate:
    """The mean of values between 0 and 1."""
    columns = np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)
    return estimate(groups, columns, mean, resampling)
