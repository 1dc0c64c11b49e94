"""Spearman's rank correlation of scores with pass rates: are better answers scored higher?"""

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import ConstantInputWarning, spearmanr

from trainer.evaluation.measures.estimate import (
    Estimate,
    Resampling,
    Sums,
    Weights,
    estimate,
    estimate_weighted,
    mean,
    ratio,
)
from trainer.evaluation.measures.ranks import Ranking
from trainer.evaluation.measures.scored import CONTENDERS, Contender, ScoredQuestion
from trainer.evaluation.measures.table import Table


def table(
    scored: list[ScoredQuestion], resampling: Resampling, counts: Counter[str]
) -> Table | None:
    """Correlation over the pooled answers, and the mean over questions of their own.

    Returns:
        None where no pass rate is known.
    """
    known = [item for item in scored if item.question.pass_rates]
    if not known:
        return None
    counts["no pass rates: not in the rank correlation"] += len(scored) - len(known)
    return Table(
        "rank correlation with pass rate",
        "Spearman correlation of the score and the share of tests that an answer passes, ties at "
        "their mean rank: of all answers in one pool, and within a prompt (the mean over the "
        "prompts whose pass rates differ); a constant score counts as 0",
        {
            "pooled answers": {
                name: pooled(known, contender, resampling) for name, contender in CONTENDERS.items()
            },
            "per prompt": {
                name: per_prompt(known, contender, resampling)
                for name, contender in CONTENDERS.items()
            },
        },
        plot="bars",
    )


def pooled(scored: list[ScoredQuestion], contender: Contender, resampling: Resampling) -> Estimate:
    """Correlation over the answers of all questions."""
    groups = [item.question.group for item in scored for _ in item.scores]
    scores = Ranking(np.array([value for item in scored for value in contender(item)]))
    rates = Ranking(np.array([rate for item in scored for rate in item.question.pass_rates]))

    def spearman(weights: Weights) -> Sums:
        count = weights.sum(axis=-1, keepdims=True)
        # Ranks add up to the same sum whatever the ties, so their mean is known.
        x = scores.ranks(weights) - (count + 1) / 2
        y = rates.ranks(weights) - (count + 1) / 2
        squares = (weights * x * x).sum(axis=-1) * (weights * y * y).sum(axis=-1)
        figures = ratio((weights * x * y).sum(axis=-1), np.sqrt(squares))
        # Where rates differ and scores do not, nothing is ranked.
        return np.where((squares == 0) & varies(y, weights), 0.0, figures)

    return estimate_weighted(groups, spearman, resampling, bounds=(-1.0, 1.0))


def varies(ranks: Sums, weights: Weights) -> Sums:
    """Whether the drawn items differ: centered ranks of equal values are all 0."""
    different: Sums = (weights * ranks * ranks).sum(axis=-1) > 0
    return different


def per_prompt(
    scored: list[ScoredQuestion], contender: Contender, resampling: Resampling
) -> Estimate:
    """Mean correlation of the questions whose pass rates differ; every question counts alike."""
    mixed = [item for item in scored if len(set(item.question.pass_rates)) > 1]
    values = [spearman_of(contender(item), item.question.pass_rates) for item in mixed]
    return estimate(
        [item.question.group for item in mixed],
        np.array([(value, 1.0) for value in values]).reshape(-1, 2),
        mean,
        resampling,
        bounds=(-1.0, 1.0),
    )


def spearman_of(scores: Sequence[float], rates: Sequence[float]) -> float:
    """The correlation within one question; 0 if all scores are equal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return float(np.nan_to_num(spearmanr(scores, rates).statistic))
