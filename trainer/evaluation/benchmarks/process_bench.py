"""ProcessBench (Zheng et al. 2024): which step of a solution is the first wrong one?

Reads a local copy of its files: columns id, problem, steps and label, the first wrong step or -1.
The first step that scores below a threshold is called wrong. The threshold is the one that serves
one of the files best, as the authors choose it for reward models; that file's figure is flattered.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.evaluation.measures.estimate import Resampling, Sums, ratio
from trainer.evaluation.measures.judged import ScoredQuestion
from trainer.evaluation.measures.parts import Part, combined
from trainer.evaluation.measures.table import Row, Table
from trainer.evaluation.question import Question, step_ends
from trainer.evaluation.records import read_records, source_name
from trainer.pairs.group import group_of
from trainer.pipeline.stage import StageError

NO_ERROR = -1

Labels = dict[str, int]
"""First wrong step of each solution, by its id, or `NO_ERROR`."""


@dataclass(frozen=True)
class _Solution:
    id: str
    problem: str
    steps: list[str]
    label: int


@dataclass(frozen=True)
class Solution:
    """A solution with a score at the end of each step, and its first wrong step or `NO_ERROR`."""

    group: str
    split: str
    scores: tuple[float, ...]
    label: int

    @property
    def window(self) -> tuple[float, float]:
        """Thresholds (low, high] that find the right step: it alone is the first below them."""
        before = self.scores if self.label == NO_ERROR else self.scores[: self.label]
        low = -np.inf if self.label == NO_ERROR else self.scores[self.label]
        return float(low), float(min(before, default=np.inf))


def read_questions(file: Path, counts: Counter[str]) -> tuple[list[Question], Labels]:
    """Questions with one answer in steps each, and the label of each, by its id.

    Raises:
        StageError: a label is no step.
    """
    rows = read_records(file, _Solution)
    kept = [row for row in rows if row.steps and all(step.strip() for step in row.steps)]
    counts["solution with an empty step"] += len(rows) - len(kept)
    for row in kept:
        if not NO_ERROR <= row.label < len(row.steps):
            raise StageError(f"{file}, {row.id}: label {row.label} of {len(row.steps)} steps")
    questions = [
        Question(
            id=row.id,
            group=group_of(row.problem),
            prompt=row.problem,
            answers=(tuple(row.steps),),
            correct=(row.label == NO_ERROR,),
            source=source_name(file),
        )
        for row in kept
    ]
    return questions, {row.id: row.label for row in kept}


def by_score(judged: ScoredQuestion, label: int) -> Solution:
    question = judged.question
    return Solution(question.group, question.source, judged.steps[0], label)


def by_length(judged: ScoredQuestion, label: int) -> Solution:
    """The further in, the worse: whatever is scored, errors come late."""
    question = judged.question
    ends = tuple(-float(end) for end in step_ends(question.answers[0]))
    return Solution(question.group, question.source, ends, label)


def tables(
    judged: list[ScoredQuestion], labels: Labels, tune_on: str, how: Resampling
) -> list[Table]:
    """F1 with its two accuracies for each file, and the mean of the F1s."""
    pairs = [(item, labels[item.question.id]) for item in judged]
    contenders = {
        "model": [by_score(item, label) for item, label in pairs],
        "length_only": [by_length(item, label) for item, label in pairs],
    }
    parts = {name: split_parts(of, tune_on) for name, of in contenders.items()}
    parts["random"] = guessed_parts(contenders["model"])
    names = ("F1", "erroneous", "correct")
    return [_table(name, place, parts, tune_on, how) for place, name in enumerate(names)]


def best_threshold(solutions: Sequence[Solution]) -> float:
    """Of those that any solution asks for, the one of the highest F1."""
    highs = np.unique([s.window[1] for s in solutions if np.isfinite(s.window[1])])
    if not highs.size:
        return np.inf
    found = [float(f1(columns(solutions, high).sum(axis=0))) for high in highs]
    return float(highs[int(np.argmax(np.nan_to_num(found)))])


def columns(solutions: Sequence[Solution], threshold: float) -> Sums:
    """Hits and count of erroneous solutions, hits and count of correct ones."""
    hits = [low < threshold <= high for low, high in (s.window for s in solutions)]
    return _columns(solutions, [float(hit) for hit in hits])


def f1(sums: Sums) -> Sums:
    """Harmonic mean of the accuracies on erroneous and on correct solutions."""
    wrong, right = ratio(sums[..., 0], sums[..., 1]), ratio(sums[..., 2], sums[..., 3])
    return np.where(wrong + right == 0, 0.0, ratio(2 * wrong * right, wrong + right))


def split_parts(solutions: list[Solution], tune_on: str) -> dict[str, Part]:
    """All files with the threshold that is best for one of them.

    Raises:
        StageError: that one is not there.
    """
    splits = sorted({solution.split for solution in solutions})
    if tune_on not in splits:
        raise StageError(f"no file of ProcessBench is {tune_on}: tune_on one of {splits}")
    of = {split: [s for s in solutions if s.split == split] for split in splits}
    threshold = best_threshold(of[tune_on])
    return {split: _part(some, columns(some, threshold)) for split, some in of.items()}


def guessed_parts(solutions: list[Solution]) -> dict[str, Part]:
    """One of the steps, or none, each as likely."""
    splits = sorted({solution.split for solution in solutions})
    of = {split: [s for s in solutions if s.split == split] for split in splits}
    return {
        split: _part(some, _columns(some, [1 / (len(s.scores) + 1) for s in some]))
        for split, some in of.items()
    }


def _part(solutions: list[Solution], sums: Sums) -> Part:
    return Part([solution.group for solution in solutions], sums, f1)


def _columns(solutions: Sequence[Solution], credit: list[float]) -> Sums:
    correct = np.array([solution.label == NO_ERROR for solution in solutions])
    hits = np.array(credit)
    return np.stack([hits * ~correct, ~correct, hits * correct, correct], axis=1).astype(float)


def _table(
    name: str, place: int, parts: dict[str, dict[str, Part]], tune_on: str, how: Resampling
) -> Table:
    figure = (f1, _erroneous, _correct)[place]
    of = {
        who: {s: Part(p.groups, p.columns, figure) for s, p in by_split.items()}
        for who, by_split in parts.items()
    }
    rows: dict[str, Row] = {}
    if len(parts["model"]) > 1:
        rows["mean"] = {who: combined(list(p.values()), how) for who, p in of.items()}
    for split in parts["model"]:
        label = f"{split} (tuned on it)" if split == tune_on else split
        rows[label] = {who: by_split[split].alone(how) for who, by_split in of.items()}
    what = {
        "F1": "harmonic mean of the accuracies on solutions with and without an error",
        "erroneous": "share of solutions with an error whose first wrong step is found",
        "correct": "share of solutions without an error in which none is found",
    }[name]
    return Table(name, what, rows, plot="bars" if place == 0 else "none")


def _erroneous(sums: Sums) -> Sums:
    return ratio(sums[..., 0], sums[..., 1])


def _correct(sums: Sums) -> Sums:
    return ratio(sums[..., 2], sums[..., 3])
