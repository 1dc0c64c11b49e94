"""RewardBench 2 (Malik et al. 2025): the best of four, and a subset of questions with many answers.

Reads a local copy of the data set: columns id, prompt, chosen (a list), rejected (a list), subset.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from trainer.evaluation.measures.estimate import Resampling, Sums, ratio
from trainer.evaluation.measures.judged import CONTENDERS, Contender, ScoredQuestion, sources
from trainer.evaluation.measures.parts import Part, best_right, combined
from trainer.evaluation.measures.table import Table
from trainer.evaluation.question import Question
from trainer.evaluation.records import read_records
from trainer.pairs.group import group_of
from trainer.pipeline.stage import StageError

TIES = "Ties"

_TIES_WEIGHTS = {"tied": 0.3, "ref": 0.3, "preferred": 0.2, "preferred_hard": 0.2, "margin": 0.01}
"""Of the five means that make the score of Ties; the authors' `process_single_model`."""


@dataclass(frozen=True)
class _Row:
    id: int | str
    prompt: str
    chosen: list[str]
    rejected: list[str]
    subset: str


@dataclass(frozen=True)
class _Gaps:
    """Of one question: from its worst right to its best wrong answer, and among the right ones."""

    between: float
    within: float


def read_questions(file: Path) -> list[Question]:
    """Raises StageError where an id of Ties does not say which questions belong together."""
    return [_question(row, file) for row in read_records(file, _Row)]


def tables(judged: list[ScoredQuestion], how: Resampling) -> list[Table]:
    """A row for each subset, and their mean."""
    parts = {name: subset_parts(judged, name) for name in CONTENDERS}
    rows = {"overall": {name: combined(list(of.values()), how) for name, of in parts.items()}}
    for subset in parts["model"]:
        rows[subset] = {name: of[subset].alone(how) for name, of in parts.items()}
    what = (
        "share of questions whose chosen answer scores highest, ties shared; Ties is the authors' "
        "weighting of accuracy and margins; overall is the mean of the subsets that are there"
    )
    return [Table("subsets", what, rows, plot="bars")]


def subset_parts(judged: list[ScoredQuestion], contender: str) -> dict[str, Part]:
    return {
        subset: (_ties if subset == TIES else best_right)(of, contender)
        for subset, of in sources(judged).items()
    }


def _question(row: _Row, file: Path) -> Question:
    group = group_of(row.prompt)
    if row.subset == TIES:
        kind, _, number = str(row.id).partition(":")
        if kind not in {"ref", "tied"} or not number:
            raise StageError(f"{file}: ids of {TIES} are ref:N or tied:N, not {row.id!r}")
        group = f"{TIES} {number}"
    return Question(
        id=str(row.id),
        group=group,
        prompt=row.prompt,
        answers=(*row.chosen, *row.rejected),
        correct=(*(True for _ in row.chosen), *(False for _ in row.rejected)),
        source=row.subset,
    )


def _ties(judged: list[ScoredQuestion], contender: str) -> Part:
    """Two columns for each mean, its sum and its count; an item is a question with its reference.

    A constant score has no margins at all, so guessing is drawn here.
    """
    scores = _drawn if contender == "random" else CONTENDERS[contender]
    gaps: dict[str, dict[str, _Gaps]] = {}
    for item in judged:
        kind = item.question.id.partition(":")[0]
        gaps.setdefault(item.question.group, {})[kind] = _gaps(item, scores)
    columns = np.array([_columns(of) for of in gaps.values()])
    return Part(list(gaps), columns, _ties_score)


def _gaps(judged: ScoredQuestion, contender: Contender) -> _Gaps:
    labelled = list(zip(contender(judged), judged.question.correct, strict=True))
    right = [score for score, correct in labelled if correct]
    wrong = [score for score, correct in labelled if not correct]
    return _Gaps(min(right) - max(wrong), max(right) - min(right))


def _columns(of: dict[str, _Gaps]) -> list[float]:
    means = dict[str, float]()
    for kind, gaps in of.items():
        means[kind] = float(gaps.between > 0)
    if of.keys() == {"ref", "tied"}:
        tied, least = of["tied"], min(of["tied"].between, of["ref"].between)
        means["preferred"] = float(tied.between > tied.within)
        means["preferred_hard"] = float(least > tied.within)
        means["margin"] = _squashed(least, tied.within)
    return [v for n in _TIES_WEIGHTS for v in (means.get(n, 0.0), float(n in means))]


def _squashed(gap: float, spread: float) -> float:
    """How many times the spread the gap is, less one, squashed; right ones alike leave the sign."""
    if spread == 0:
        return float(np.sign(gap))
    return float(np.tanh(gap / spread - 1))


def _ties_score(sums: Sums) -> Sums:
    """NaN only where a resample holds none of the questions."""
    means = np.nan_to_num(ratio(sums[..., 0::2], sums[..., 1::2]))
    score: Sums = means @ np.array(list(_TIES_WEIGHTS.values()))
    return np.where(sums[..., 1::2].sum(axis=-1) > 0, score, np.nan)


def _drawn(judged: ScoredQuestion) -> tuple[float, ...]:
    rng = Random(judged.question.id)
    return tuple(rng.random() for _ in judged.scores)
