"""A benchmark's figure as a weighted mean of its parts', resampled together."""

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
)
from trainer.evaluation.measures.judged import CONTENDERS, ScoredQuestion


@dataclass(frozen=True)
class Part:
    """One subset: a statistic of what is added up over its items, see `estimate`.

    Attributes:
        weight: among the parts.
    """

    groups: list[str]
    columns: Sums
    statistic: Statistic
    weight: float = 1.0

    def alone(self, how: Resampling) -> Estimate:
        return estimate(self.groups, self.columns, self.statistic, how)


def best_right(judged: Sequence[ScoredQuestion], contender: str) -> Part:
    """Share of questions whose best answer is a right one; ties share."""
    credit = [top(CONTENDERS[contender](item), item.question.correct) for item in judged]
    columns = np.array([(won, 1.0) for won in credit])
    return Part([item.question.group for item in judged], columns, mean)


def combined(parts: Sequence[Part], how: Resampling) -> Estimate:
    """The weighted mean of the parts; a resample that misses one is the mean of the others."""
    columns = block_diag(*(part.columns for part in parts))
    groups = [group for part in parts for group in part.groups]
    ends = np.cumsum([part.columns.shape[1] for part in parts])
    weights = np.array([part.weight for part in parts])

    def statistic(sums: Sums) -> Sums:
        blocks = np.split(sums, ends[:-1], axis=-1)
        figures = np.stack([p.statistic(b) for p, b in zip(parts, blocks, strict=True)], axis=-1)
        there = ~np.isnan(figures)
        weighted: Sums = (np.nan_to_num(figures) * weights).sum(-1) / (there * weights).sum(-1)
        return weighted

    return estimate(groups, columns, statistic, how)
