"""CodeRewardBench (Themis, arXiv 2605.00754): pairs of programs in five aspects, eight languages.

Reads a local copy of the data set's `Full` split: columns id, prompt, chosen, rejected, aspect,
language and subset. The authors count ties as wrong, which is the column `strict` here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainer.evaluation.measures.best_of_n import top
from trainer.evaluation.measures.estimate import Resampling, share
from trainer.evaluation.measures.scored import CONTENDERS, ScoredQuestion
from trainer.evaluation.measures.table import Row, Table
from trainer.evaluation.question import Question
from trainer.evaluation.records import read_records
from trainer.pairs.group import group_of


@dataclass(frozen=True)
class CodeRewardBenchRow:
    """One row of the file, in the columns that are read."""

    id: int | str
    prompt: str
    chosen: str
    rejected: str
    aspect: str
    language: str
    subset: str


def read_questions(file: Path, criteria: Mapping[str, str]) -> list[Question]:
    """Read the pairs.

    Args:
        criteria: the model's criterion for each aspect, which judges the aspect's pairs.
    """
    return [
        Question(
            id=str(row.id),
            group=group_of(row.prompt),
            prompt=row.prompt,
            answers=(row.chosen, row.rejected),
            correct=(True, False),
            # The aspect is what is wrong with the rejected answer.
            kinds=("chosen", row.aspect),
            source=row.subset,
            aspect=criteria.get(row.aspect, ""),
            language=row.language,
        )
        for row in read_records(file, CodeRewardBenchRow)
    ]


def tables(scored: list[ScoredQuestion], resampling: Resampling) -> list[Table]:
    """Accuracy of all pairs and of each aspect, then of languages and of subsets."""
    what = "share of pairs whose chosen answer scores higher; ties count half, for strict nothing"
    overall = {"overall": accuracies(scored, resampling)}
    by_aspect = rows_by(scored, lambda question: question.kinds[1], resampling)
    return [
        Table("accuracy by aspect", what, overall | by_aspect, plot="bars"),
        Table(
            "accuracy by language",
            "the same pairs, by programming language",
            rows_by(scored, lambda question: question.language, resampling),
            plot="bars",
        ),
        Table(
            "accuracy by subset",
            "the same pairs, by the data set that they are from",
            rows_by(scored, lambda question: question.source, resampling),
        ),
    ]


def rows_by(
    scored: list[ScoredQuestion], part_of: Callable[[Question], str], resampling: Resampling
) -> dict[str, Row]:
    """A row for each part that `part_of` names, by the parts' names in order."""
    parts: dict[str, list[ScoredQuestion]] = {}
    for item in scored:
        parts.setdefault(part_of(item.question), []).append(item)
    return {name: accuracies(parts[name], resampling) for name in sorted(parts)}


def accuracies(scored: list[ScoredQuestion], resampling: Resampling) -> Row:
    """Accuracy with half a credit for a tie, and without any."""
    groups = [item.question.group for item in scored]
    halves = {
        name: share(
            groups, [top(contender(item), item.question.correct) for item in scored], resampling
        )
        for name, contender in CONTENDERS.items()
    }
    # Guesses and lengths are not asked for it: random scores tie everywhere.
    won = [float(item.scores[0] > item.scores[1]) for item in scored]
    return {"model": halves["model"], "strict": share(groups, won, resampling)} | halves
