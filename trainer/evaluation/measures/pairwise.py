"""Pairwise accuracy: how often a right answer scores above a wrong one to the same request."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from trainer.evaluation.measures.estimate import Estimate, Resampling, estimate, mean
from trainer.evaluation.measures.judged import CONTENDERS, Contender, ScoredQuestion
from trainer.evaluation.measures.table import Row, Table


@dataclass(frozen=True)
class Outcome:
    """Pairs of one question whose wrong answer is of one kind.

    Attributes:
        credit: 1 for each pair that is ranked right, 0.5 for a tie.
    """

    group: str
    source: str
    kind: str
    credit: float
    pairs: int


def outcomes(judged: Iterable[ScoredQuestion], contender: Contender) -> list[Outcome]:
    return [outcome for item in judged for outcome in _outcomes(item, contender(item))]


def accuracy(found: list[Outcome], how: Resampling) -> Estimate:
    """All pairs alike; groups are resampled whole."""
    columns = np.array([(outcome.credit, outcome.pairs) for outcome in found], dtype=float)
    groups = [outcome.group for outcome in found]
    return estimate(groups, columns, mean, how, n=sum(outcome.pairs for outcome in found))


def by_kind(judged: list[ScoredQuestion], how: Resampling) -> Table:
    """A row for all pairs, and one for each kind of wrong answer."""
    return Table(
        "pairwise accuracy by kind of wrong answer",
        "share of pairs whose right answer scores higher; ties count half",
        {"overall": _row(judged, how)} | _rows(judged, lambda outcome: outcome.kind, how),
        plot="bars",
    )


def by_source(judged: list[ScoredQuestion], how: Resampling) -> Table:
    """A row for each data set that the pairs are from."""
    rows = _rows(judged, lambda outcome: outcome.source, how)
    what = "share of pairs whose right answer scores higher, by the data set they are from"
    return Table("pairwise accuracy by source", what, rows, plot="bars")


def _outcomes(judged: ScoredQuestion, scores: tuple[float, ...]) -> Iterable[Outcome]:
    question = judged.question
    right = np.array([s for s, c in zip(scores, question.correct, strict=True) if c])
    kinds = [question.kind(i) for i, correct in enumerate(question.correct) if not correct]
    wrong = np.array([s for s, c in zip(scores, question.correct, strict=True) if not c])
    credit = (right[:, None] > wrong).sum(0) + 0.5 * (right[:, None] == wrong).sum(0)
    for kind in dict.fromkeys(kinds):
        of = np.array([other == kind for other in kinds])
        pairs = len(right) * int(of.sum())
        yield Outcome(question.group, question.source, kind, float(credit[of].sum()), pairs)


def _row(judged: list[ScoredQuestion], how: Resampling) -> Row:
    return {name: accuracy(outcomes(judged, by), how) for name, by in CONTENDERS.items()}


def _rows(
    judged: list[ScoredQuestion], part_of: Callable[[Outcome], str], how: Resampling
) -> dict[str, Row]:
    found = {name: outcomes(judged, contender) for name, contender in CONTENDERS.items()}
    parts = sorted({part_of(outcome) for outcome in found["model"]} - {""})
    return {
        part: {
            name: accuracy([o for o in of if part_of(o) == part], how) for name, of in found.items()
        }
        for part in parts
    }
