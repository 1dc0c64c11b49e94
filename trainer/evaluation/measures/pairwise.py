"""Pairwise accuracy: how often a right answer scores above a wrong one to the same request."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from trainer.evaluation.measures.estimate import Estimate, Resampling, estimate, mean
from trainer.evaluation.measures.scored import CONTENDERS, Contender, ScoredQuestion
from trainer.evaluation.measures.table import Row, Table

ASPECT_TABLE = "pairwise accuracy by criterion"


@dataclass(frozen=True)
class PairOutcome:
    """The pairs of one question whose wrong answers are of one kind.

    Attributes:
        credit: sum over the pairs: 1 if the right answer scores higher, 0.5 for a tie.
    """

    group: str
    source: str
    aspect: str
    kind: str
    credit: float
    pairs: int


def outcomes(
    scored: Iterable[ScoredQuestion], contender: Contender, tie: float = 0.5
) -> list[PairOutcome]:
    """Compare every right answer with every wrong one, question by question.

    Args:
        tie: credit for two equal scores.
    """
    found = []
    for item in scored:
        question, correct = item.question, np.array(item.question.correct)
        scores = np.array(contender(item))
        right, wrong = scores[correct], scores[~correct]
        # For each wrong answer, over all right ones.
        credit = (right[:, None] > wrong).sum(0) + tie * (right[:, None] == wrong).sum(0)
        kinds = np.array([question.kind(int(index)) for index in np.flatnonzero(~correct)])
        for kind in dict.fromkeys(kinds.tolist()):
            same = kinds == kind
            found.append(
                PairOutcome(
                    group=question.group,
                    source=question.source,
                    aspect=question.aspect,
                    kind=kind,
                    credit=float(credit[same].sum()),
                    pairs=len(right) * int(same.sum()),
                )
            )
    return found


def accuracy(found: list[PairOutcome], resampling: Resampling) -> Estimate:
    """Share of pairs ranked right; every pair counts alike."""
    columns = np.array([(outcome.credit, outcome.pairs) for outcome in found], dtype=float)
    groups = [outcome.group for outcome in found]
    pairs = sum(outcome.pairs for outcome in found)
    return estimate(groups, columns, mean, resampling, n=pairs)


def by_kind(scored: list[ScoredQuestion], resampling: Resampling) -> Table:
    """A row for all pairs, and one for each kind of wrong answer."""
    overall: Row = {
        name: accuracy(outcomes(scored, contender), resampling)
        for name, contender in CONTENDERS.items()
    }
    rows = rows_by(scored, lambda outcome: outcome.kind, resampling)
    return Table(
        "pairwise accuracy by kind of wrong answer",
        "share of pairs whose right answer scores higher; ties count half",
        {"overall": overall} | rows,
        plot="bars",
    )


def by_source(scored: list[ScoredQuestion], resampling: Resampling) -> Table:
    """A row for each data set that the pairs are from."""
    rows = rows_by(scored, lambda outcome: outcome.source, resampling)
    what = "share of pairs whose right answer scores higher, by the data set they are from"
    return Table("pairwise accuracy by source", what, rows, plot="bars")


def by_aspect(scored: list[ScoredQuestion], resampling: Resampling) -> Table:
    """A row for each criterion; in one column ties count nothing, as a choice needs a winner."""
    rows = rows_by(scored, lambda outcome: outcome.aspect, resampling)
    strict = outcomes(scored, CONTENDERS["model"], tie=0.0)
    for aspect, row in rows.items():
        row["strict"] = accuracy([each for each in strict if each.aspect == aspect], resampling)
    what = (
        "share of pairs whose right answer scores higher, by the criterion that it is better by; "
        "ties count half, and nothing where it says strict"
    )
    return Table(ASPECT_TABLE, what, rows, plot="bars")


def rows_by(
    scored: list[ScoredQuestion], part_of: Callable[[PairOutcome], str], resampling: Resampling
) -> dict[str, Row]:
    """A row of accuracies for each part that `part_of` names."""
    found = {name: outcomes(scored, contender) for name, contender in CONTENDERS.items()}
    # Rows without a name, of data that states no kind or source, are in the row of all pairs alone.
    parts = sorted({part_of(outcome) for outcome in found["model"]} - {""})
    return {
        part: {
            name: accuracy([each for each in all_ if part_of(each) == part], resampling)
            for name, all_ in found.items()
        }
        for part in parts
    }
