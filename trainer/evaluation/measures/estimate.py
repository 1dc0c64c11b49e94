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

Groups = Sequence[str] | NDArray[np.int64]
"""The group of each item, by its name or number."""

Weights = NDArray[np.int64]
"""How often each item was drawn: [..., items]."""

# Resamples that are held at a time, each with all columns: bounds the memory of wide tables.
BATCH = 100
# Weights of items that are held at a time, which bounds the memory of many items: 16 MB.
BATCH_WEIGHTS = 2_000_000


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
    groups: Groups,
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
    return interval(
        value,
        count,
        len(sums),
        lambda index: statistic(sums[index].sum(axis=-2)),
        resampling,
        BATCH,
    )


def estimate_weighted(
    groups: Groups,
    statistic: Callable[[Weights], Sums],
    resampling: Resampling,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Estimate:
    """Compute a statistic that is no function of sums, such as one of ranks, with its interval.

    Args:
        groups: group of each item.
        statistic: computes figures [...] from weights [..., items].
        bounds: as in `estimate`.
    """
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    value = float(statistic(np.ones(len(groups), dtype=np.int64)))
    if len(names) < 2:
        return Estimate(value, *bounds, len(groups))

    def of_draw(drawn: NDArray[np.int64]) -> Sums:
        rows = drawn.reshape(-1, len(names))
        # Numbers of groups are unique over all rows, so one count serves them all.
        shifted = rows + np.arange(len(rows))[:, None] * len(names)
        counts = np.bincount(shifted.ravel(), minlength=rows.size).reshape(rows.shape)
        return statistic(counts[:, index]).reshape(drawn.shape[:-1])

    batch = max(1, min(BATCH, BATCH_WEIGHTS // len(groups)))
    return interval(value, len(groups), len(names), of_draw, resampling, batch)


def interval(
    value: float,
    n: int,
    groups: int,
    statistic: Callable[[NDArray[np.int64]], Sums],
    resampling: Resampling,
    batch: int,
) -> Estimate:
    """A figure with its percentile interval.

    Args:
        groups: how many there are.
        statistic: computes figures [...] from the indices of drawn groups [..., draws].
        batch: resamples that are held at a time.
    """

    def along(index: NDArray[np.int64], axis: int) -> Sums:
        assert axis == -1
        return statistic(index)

    with warnings.catch_warnings():
        # The statistic is NaN if a resample holds nothing that counts; those are dropped below.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        drawn = bootstrap(
            (np.arange(groups),),
            along,
            vectorized=True,
            batch=batch,
            n_resamples=resampling.resamples,
            method="percentile",
            rng=np.random.default_rng(resampling.seed),
        ).bootstrap_distribution
    kept = drawn[~np.isnan(drawn)]
    if not kept.size:
        return Estimate(value, math.nan, math.nan, n)
    low, high = np.percentile(kept, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n)


def share(groups: Groups, values: Sequence[float] | Sums, resampling: Resampling) -> Estimate:
    """The mean of values between 0 and 1."""
    columns = np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)
    return estimate(groups, columns, mean, resampling)
