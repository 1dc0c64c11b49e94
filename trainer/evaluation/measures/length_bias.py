"""Length bias: does the score follow the length, and what is left of accuracy without it?"""

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
from trainer.evaluation.measures.judged import CONTENDERS, Contender, ScoredQuestion
from trainer.evaluation.measures.table import Row, Table

_STRATA = ("right one shorter", "right one longer")


def accuracy_table(judged: list[ScoredQuestion], how: Resampling) -> Table:
    """Accuracy by which of a pair is longer, and with both kinds of pair counted alike.

    A ranking by length alone gets 0.5 of the last, however lengths and labels go together.
    """
    pairs = {name: _pairs(judged, contender) for name, contender in CONTENDERS.items()}
    rows: dict[str, Row] = {}
    for stratum, name in enumerate(_STRATA):
        if pairs["model"][1][:, 2 * stratum + 1].any():
            rows[name] = {who: _stratum(of, stratum, how) for who, of in pairs.items()}
    if len(rows) == len(_STRATA):
        rows["length-controlled"] = {who: _controlled(of, how) for who, of in pairs.items()}
    what = (
        "pairwise accuracy by the lengths of a pair's answers; pairs of equal length are left "
        "out, and the length-controlled figure is the mean of the other two"
    )
    return Table("accuracy by length", what, rows, plot="bars")


def correlation_table(judged: list[ScoredQuestion], how: Resampling) -> Table:
    """Correlation with length among the answers of one request, beside that of being right."""
    row = {
        "model": correlation(judged, [item.scores for item in judged], how),
        "right_answers": correlation(
            judged, [tuple(map(float, item.question.correct)) for item in judged], how
        ),
    }
    what = (
        "Pearson correlation of score and length in characters, each less its mean over the "
        "request's answers; right_answers is that of being right, which no model should exceed"
    )
    return Table("correlation with length", what, {"correlation": row})


def correlation(
    judged: list[ScoredQuestion], scores: Sequence[Sequence[float]], how: Resampling
) -> Estimate:
    """Sums of squares and products add up over requests, so groups can be resampled."""
    columns = np.array(
        [_products(values, item.lengths) for item, values in zip(judged, scores, strict=True)]
    )
    groups = [item.question.group for item in judged]
    answers = sum(len(item.scores) for item in judged)
    return estimate(groups, columns, _pearson, how, n=answers, bounds=(-1.0, 1.0))


def _products(scores: Sequence[float], lengths: Sequence[float]) -> tuple[float, float, float]:
    x, y = np.asarray(scores) - np.mean(scores), np.asarray(lengths) - np.mean(lengths)
    return float(x @ y), float(x @ x), float(y @ y)


def _pearson(sums: Sums) -> Sums:
    """0 where scores or lengths are all alike, which is no correlation."""
    return np.nan_to_num(ratio(sums[..., 0], np.sqrt(sums[..., 1] * sums[..., 2])))


def _pairs(judged: list[ScoredQuestion], contender: Contender) -> tuple[list[str], Sums]:
    """For each question its group; credit and count of pairs, shorter right ones first."""
    groups = [item.question.group for item in judged]
    return groups, np.array([_credits(item, contender(item)) for item in judged])


def _credits(judged: ScoredQuestion, scores: tuple[float, ...]) -> list[float]:
    correct = np.array(judged.question.correct)
    values, lengths = np.array(scores), np.array(judged.lengths)
    margin = values[correct][:, None] - values[~correct]
    longer = lengths[correct][:, None] - lengths[~correct]
    credit = np.where(margin == 0, 0.5, margin > 0)
    strata = (longer < 0, longer > 0)
    return [float(v) for of in strata for v in ((credit * of).sum(), of.sum())]


def _stratum(pairs: tuple[list[str], Sums], index: int, how: Resampling) -> Estimate:
    groups, columns = pairs
    own = columns[:, 2 * index : 2 * index + 2]
    return estimate(groups, own, mean, how, n=int(own[:, 1].sum()))


def _controlled(pairs: tuple[list[str], Sums], how: Resampling) -> Estimate:
    groups, columns = pairs
    both = int(columns[:, [1, 3]].sum())
    return estimate(
        groups, columns, lambda s: (mean(s[..., :2]) + mean(s[..., 2:])) / 2, how, n=both
    )
