"""Variance of scores within and between prompts: how much of it can a ranking use?

Best-of-N and group-relative policy gradients see differences within a prompt alone. Variance
between prompts is the model's opinion of prompts, and noise to whoever compares across them.
"""

from collections.abc import Callable, Sequence

import numpy as np

from trainer.evaluation.measures.estimate import Estimate, Resampling, Sums, estimate, ratio
from trainer.evaluation.measures.scored import ScoredQuestion
from trainer.evaluation.measures.table import Row, Table


def table(scored: list[ScoredQuestion], resampling: Resampling) -> Table:
    """Both variances with their roots, and the share of the variance that is within prompts."""
    groups = [item.question.group for item in scored]
    scores = [item.scores for item in scored]
    rows: dict[str, Row] = {}
    # Of one group there is no interval, and a variance has no upper bound to state in its place.
    if len(set(groups)) > 1:
        for name, part in (("within prompts", within), ("between prompts", between)):
            found = decomposed(groups, scores, part, resampling)
            # A root keeps order, so that of the interval is the interval of the root.
            low, value, high = np.sqrt([found.low, found.value, found.high]).tolist()
            root = Estimate(value, low, high, found.n)
            rows[name] = {"model": found, "standard_deviation": root}
    correct = [tuple(map(float, item.question.correct)) for item in scored]
    rows["share within prompts"] = {
        "model": decomposed(groups, scores, share_within, resampling),
        "length_only": decomposed(groups, [i.lengths for i in scored], share_within, resampling),
        "right_answers": decomposed(groups, correct, share_within, resampling),
    }
    what = (
        "variance of raw scores about their prompt's mean, and of prompts' means, which add up to "
        "the whole; right_answers is the share that a score of 1 for right and 0 for wrong has"
    )
    return Table("variance of scores", what, rows)


def decomposed(
    groups: Sequence[str],
    scores: Sequence[Sequence[float]],
    statistic: Callable[[Sums], Sums],
    resampling: Resampling,
) -> Estimate:
    """A statistic of four sums over prompts: answers, scores, and squares within and between."""
    # Less the mean of all, so that no digits are lost where scores are far from 0.
    origin = np.mean(np.concatenate([np.asarray(each) for each in scores]))
    columns = []
    for each in scores:
        values = np.asarray(each) - origin
        center = values.mean()
        squares = float(((values - center) ** 2).sum())
        columns.append((len(values), values.sum(), squares, len(values) * center**2))
    return estimate(
        groups, np.array(columns), statistic, resampling, n=sum(len(each) for each in scores)
    )


def within(sums: Sums) -> Sums:
    """Mean square of scores about the mean of their prompt."""
    return ratio(sums[..., 2], sums[..., 0])


def between(sums: Sums) -> Sums:
    """Variance of prompts' means, each counting as often as the prompt has answers."""
    mean = ratio(sums[..., 1], sums[..., 0])
    # Rounding may leave a variance of 0 slightly below it.
    return np.maximum(ratio(sums[..., 3], sums[..., 0]) - mean**2, 0.0)


def share_within(sums: Sums) -> Sums:
    """Share of the whole variance that is within prompts."""
    inside = within(sums)
    return ratio(inside, inside + between(sums))
