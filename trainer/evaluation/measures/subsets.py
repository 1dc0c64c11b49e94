"""A benchmark's figure as the weighted mean of its subsets' figures, resampled together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from trainer.evaluation.measures.best_of_n import top
from trainer.evaluation.measures.estimate import (
    Estimate,
    Resampling,
    Statistic,
    Sums,
    estimate,
    mean,
    ratio,
)
from trainer.evaluation.measures.scored import CONTENDERS, ScoredQuestion


@dataclass(frozen=True)
class Subset:
    """One subset: groups and columns of its items, and a statistic of their sums; see `estimate`.

    Attributes:
        weight: weight of its figure in that of the benchmark.
    """

    groups: list[str]
    columns: Sums
    statistic: Statistic
    weight: float = 1.0

    def estimate(self, resampling: Resampling) -> Estimate:
        """The subset's figure alone."""
        return estimate(self.groups, self.columns, self.statistic, resampling)


def best_is_right(scored: Sequence[ScoredQuestion], contender: str) -> Subset:
    """Share of questions whose best-scored answer is a right one; ties share."""
    won = [top(CONTENDERS[contender](item), item.question.correct) for item in scored]
    columns = np.array([(credit, 1.0) for credit in won])
    return Subset([item.question.group for item in scored], columns, mean)


def weighted_mean(subsets: Sequence[Subset], resampling: Resampling) -> Estimate:
    """The weighted mean of the subsets' figures.

    A resample that draws no item of a subset counts the mean of the others.
    """
    # Each subset has its columns to itself, so that one group may have items in several subsets.
    columns = block_diag(*(subset.columns for subset in subsets))
    groups = [group for subset in subsets for group in subset.groups]
    ends = np.cumsum([subset.columns.shape[1] for subset in subsets])
    weights = np.array([subset.weight for subset in subsets])

    def statistic(sums: Sums) -> Sums:
        blocks = np.split(sums, ends[:-1], axis=-1)
        figures = np.stack(
            [subset.statistic(block) for subset, block in zip(subsets, blocks, strict=True)],
            axis=-1,
        )
        there = ~np.isnan(figures)
        # A resample may hold none of them at all.
        return ratio((np.nan_to_num(figures) * weights).sum(-1), (there * weights).sum(-1))

    return estimate(groups, columns, statistic, resampling)
