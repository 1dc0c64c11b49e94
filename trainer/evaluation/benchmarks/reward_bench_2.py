"""RewardBench 2 (Malik et al. 2025, arXiv 2506.01937): the best of four, and a subset of ties.

Reads a local copy of the data set: columns id, prompt, chosen (a list), rejected (a list), subset.
Questions of the subset Ties have many right answers, which should score alike.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from trainer.evaluation.measures.estimate import Resampling, Sums, ratio
from trainer.evaluation.measures.scored import CONTENDERS, ScoredQuestion, split_by_source
from trainer.evaluation.measures.subsets import Subset, best_is_right, weighted_mean
from trainer.evaluation.measures.table import Table
from trainer.evaluation.question import Question
from trainer.evaluation.records import read_records
from trainer.pairs.group import group_of
from trainer.pipeline.stage import StageError

TIES = "Ties"

# The score of Ties is a weighted sum of five means, as in the authors' `process_single_model`.
TIES_WEIGHTS = {"tied": 0.3, "ref": 0.3, "preferred": 0.2, "preferred_hard": 0.2, "margin": 0.01}


@dataclass(frozen=True)
class RewardBench2Row:
    """One row of the file, in the columns that are read."""

    id: int | str
    prompt: str
    chosen: list[str]
    rejected: list[str]
    subset: str


@dataclass(frozen=True)
class TieGaps:
    """Score gaps in one question of Ties.

    Attributes:
        between: the worst right answer's score less the best wrong answer's.
        within: the best right answer's score less the worst right answer's.
    """

    between: float
    within: float


def read_questions(file: Path) -> list[Question]:
    """Read the questions.

    Raises:
        StageError: an id of Ties does not say which questions belong together.
    """
    questions = []
    for row in read_records(file, RewardBench2Row):
        group = group_of(row.prompt)
        if row.subset == TIES:
            # `tied:N` has many right answers; `ref:N` is the same question with a single one.
            kind, _, number = str(row.id).partition(":")
            if kind not in {"ref", "tied"} or not number:
                raise StageError(f"{file}: ids of {TIES} are ref:N or tied:N, not {row.id!r}")
            group = f"{TIES} {number}"
        questions.append(
            Question(
                id=str(row.id),
                group=group,
                prompt=row.prompt,
                answers=(*row.chosen, *row.rejected),
                correct=(*(True for _ in row.chosen), *(False for _ in row.rejected)),
                source=row.subset,
            )
        )
    return questions


def tables(scored: list[ScoredQuestion], resampling: Resampling) -> list[Table]:
    """A row for each subset, and their mean."""
    contenders = {
        contender: {
            name: ties_subset(members, contender)
            if name == TIES
            else best_is_right(members, contender)
            for name, members in split_by_source(scored).items()
        }
        for contender in CONTENDERS
    }
    rows = {
        "overall": {
            contender: weighted_mean(list(subsets.values()), resampling)
            for contender, subsets in contenders.items()
        }
    }
    for name in contenders["model"]:
        rows[name] = {
            contender: subsets[name].estimate(resampling)
            for contender, subsets in contenders.items()
        }
    what = (
        "share of questions whose chosen answer scores highest, ties shared; Ties is the authors' "
        "weighting of accuracy and margins; overall is the mean of the subsets that are there"
    )
    return [Table("subsets", what, rows, plot="bars")]


def ties_subset(scored: list[ScoredQuestion], contender: str) -> Subset:
    """The subset Ties; an item is a question with its reference.

    Its columns are two for each mean of `TIES_WEIGHTS`: a sum and a count.
    """
    pairs: dict[str, dict[str, TieGaps]] = {}
    for item in scored:
        scores = CONTENDERS[contender](item)
        if contender == "random":
            # A constant score has no margins at all, so guessing is one random draw here.
            rng = Random(item.question.id)
            scores = tuple(rng.random() for _ in scores)
        labelled = list(zip(scores, item.question.correct, strict=True))
        right = [score for score, correct in labelled if correct]
        wrong = [score for score, correct in labelled if not correct]
        kind = item.question.id.partition(":")[0]
        gaps = TieGaps(min(right) - max(wrong), max(right) - min(right))
        pairs.setdefault(item.question.group, {})[kind] = gaps
    columns = []
    for pair in pairs.values():
        values = ties_values(pair)
        columns.append(
            [number for n in TIES_WEIGHTS for number in (values.get(n, 0.0), float(n in values))]
        )

    def score(sums: Sums) -> Sums:
        means = np.nan_to_num(ratio(sums[..., 0::2], sums[..., 1::2]))
        total: Sums = means @ np.array(list(TIES_WEIGHTS.values()))
        # NaN only if a resample holds no question at all.
        return np.where(sums[..., 1::2].sum(axis=-1) > 0, total, np.nan)

    return Subset(list(pairs), np.array(columns), score)


def ties_values(pair: dict[str, TieGaps]) -> dict[str, float]:
    """Contributions of a question and its reference to the means; the last three need both."""
    values = {kind: float(gaps.between > 0) for kind, gaps in pair.items()}
    if pair.keys() == {"ref", "tied"}:
        tied, smaller = pair["tied"], min(pair["tied"].between, pair["ref"].between)
        values["preferred"] = float(tied.between > tied.within)
        values["preferred_hard"] = float(smaller > tied.within)
        # The gap as a multiple of the spread, less one, squashed; without a spread, its sign.
        if tied.within == 0:
            values["margin"] = float(np.sign(smaller))
        else:
            values["margin"] = float(np.tanh(smaller / tied.within - 1))
    return values
