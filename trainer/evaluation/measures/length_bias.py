"""Length bias: does the score follow the length, and what is the accuracy without it?"""

from collections.abc import Sequence

import numpy as np

from trainer.evaluation.measures.estimate import (
    Estimate,
    Resampling,
    Sums,
    estimate,
    mean,
    ratio,
)
from trainer.evaluation.measures.scored import CONTENDERS, Contender, ScoredQuestion
from trainer.evaluation.measures.table import Row, Table

STRATA = ("right one shorter", "right one longer")


def accuracy_table(scored: list[ScoredQuestion], resampling: Resampling) -> Table:
    """Pairwise accuracy stratified by which answer of a pair is longer, and the strata's mean.

    The mean counts both strata alike, so ranking by length alone gets exactly 0.5 of it, however
    often the right answer is the longer one.
    """
    groups = [item.question.group for item in scored]
    credits_of = {
        name: np.array([stratified_credits(item, contender) for item in scored])
        for name, contender in CONTENDERS.items()
    }
    # Columns: credit and count of pairs of the first stratum, then of the second.
    counts = credits_of["model"][:, [1, 3]].sum(axis=0)
    rows: dict[str, Row] = {}
    for stratum, name in enumerate(STRATA):
        if counts[stratum]:
            rows[name] = {
                contender: estimate(
                    groups,
                    columns[:, 2 * stratum : 2 * stratum + 2],
                    mean,
                    resampling,
                    n=int(counts[stratum]),
                )
                for contender, columns in credits_of.items()
            }
    if len(rows) == len(STRATA):
        rows["length-controlled"] = {
            contender: estimate(
                groups,
                columns,
                lambda sums: (mean(sums[..., :2]) + mean(sums[..., 2:])) / 2,
                resampling,
                n=int(counts.sum()),
            )
            for contender, columns in credits_of.items()
        }
    what = (
        "pairwise accuracy by the lengths of a pair's answers; pairs of equal length are left "
        "out, and the length-controlled figure is the mean of the other two"
    )
    return Table("accuracy by length", what, rows, plot="bars")


def stratified_credits(scored: ScoredQuestion, contender: Contender) -> list[float]:
    """Credit and count of one question's pairs, in the order of `STRATA`."""
    correct = np.array(scored.question.correct)
    values, lengths = np.array(contender(scored)), np.array(scored.lengths)
    margin = values[correct][:, None] - values[~correct]
    longer = lengths[correct][:, None] - lengths[~correct]
    credit = np.where(margin == 0, 0.5, margin > 0)
    return [
        float(value)
        for members in (longer < 0, longer > 0)
        for value in ((credit * members).sum(), members.sum())
    ]


def correlation_table(scored: list[ScoredQuestion], resampling: Resampling) -> Table:
    """Correlation of score and length within a request, beside that of being right and length."""
    correct = [tuple(map(float, item.question.correct)) for item in scored]
    row = {
        "model": correlation(scored, [item.scores for item in scored], resampling),
        "right_answers": correlation(scored, correct, resampling),
    }
    what = (
        "Pearson correlation of score and length in characters, each less its mean over the "
        "request's answers; right_answers is that of being right, which no model should exceed"
    )
    return Table("correlation with length", what, {"correlation": row})


def correlation(
    scored: list[ScoredQuestion], scores: Sequence[Sequence[float]], resampling: Resampling
) -> Estimate:
    """Pooled within-request Pearson correlation of `scores` and lengths."""
    products = []
    for values, item in zip(scores, scored, strict=True):
        # Centered within the request: requests differ in difficulty and in how long answers are.
        x = np.asarray(values) - np.mean(values)
        y = np.asarray(item.lengths) - np.mean(item.lengths)
        products.append((float(x @ y), float(x @ x), float(y @ y)))

    def pearson(sums: Sums) -> Sums:
        # Scores or lengths that are all alike have no correlation, which counts as 0.
        return np.nan_to_num(ratio(sums[..., 0], np.sqrt(sums[..., 1] * sums[..., 2])))

    # Sums of squares and products add up over requests, so groups can be resampled.
    return estimate(
        [item.question.group for item in scored],
        np.array(products),
        pearson,
        resampling,
        n=sum(len(item.scores) for item in scored),
        bounds=(-1.0, 1.0),
    )
