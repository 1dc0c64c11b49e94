"""ProcessBench (Zheng et al. 2024, arXiv 2412.06559): which step of a solution is wrong first?

Reads a local copy of its files: columns id, problem, steps and label, the first wrong step or -1.
The first step that scores below a threshold is called wrong. The threshold is the best one for one
of the files, as the authors choose it for reward models; that file's figure is flattered by it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trainer.evaluation.measures.estimate import Resampling, Sums, ratio
from trainer.evaluation.measures.scored import ScoredQuestion
from trainer.evaluation.measures.subsets import Subset, weighted_mean
from trainer.evaluation.measures.table import Row, Table
from trainer.evaluation.question import Question, step_ends
from trainer.evaluation.records import read_records, source_name
from trainer.pairs.group import group_of
from trainer.pipeline.stage import StageError

NO_ERROR = -1

Labels = dict[str, int]
"""First wrong step of each solution, or `NO_ERROR`, by the solution's id."""


@dataclass(frozen=True)
class ProcessBenchRow:
    """One row of a file, in the columns that are read."""

    id: str
    problem: str
    steps: list[str]
    label: int


@dataclass(frozen=True)
class ScoredSolution:
    """A solution with a score at the end of each step, and its first wrong step or `NO_ERROR`."""

    group: str
    split: str
    scores: tuple[float, ...]
    label: int

    @property
    def window(self) -> tuple[float, float]:
        """The interval (low, high] of thresholds with which the right step is found.

        The wrong step must score below the threshold, and no step before it may.
        """
        before = self.scores if self.label == NO_ERROR else self.scores[: self.label]
        low = -np.inf if self.label == NO_ERROR else self.scores[self.label]
        return float(low), float(min(before, default=np.inf))


def read_questions(file: Path, counts: Counter[str]) -> tuple[list[Question], Labels]:
    """Questions with one answer in steps each, and the label of each by its id.

    Raises:
        StageError: a label is the index of no step.
    """
    rows = read_records(file, ProcessBenchRow)
    # A step of white space has no token of its own to read a score at.
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


def tables(
    scored: list[ScoredQuestion], labels: Labels, tune_on: str, resampling: Resampling
) -> list[Table]:
    """F1 with its two accuracies for each file, and the mean of the files' F1s."""
    by_score, by_length = [], []
    for item in scored:
        question = item.question
        # Each question has one answer here, so its steps are the first and only ones.
        solution = ScoredSolution(
            question.group, question.source, item.steps[0], labels[question.id]
        )
        by_score.append(solution)
        # Errors come late in a solution, so the baseline calls a step worse the further in it is.
        ends = tuple(-float(end) for end in step_ends(question.answers[0]))
        by_length.append(replace(solution, scores=ends))
    contenders = {
        "model": tuned_subsets(by_score, tune_on),
        "length_only": tuned_subsets(by_length, tune_on),
        "random": guessed_subsets(by_score),
    }
    measures = {
        "F1": (f1, "harmonic mean of the accuracies on solutions with and without an error"),
        "erroneous": (
            accuracy_on_erroneous,
            "share of solutions with an error whose first wrong step is found",
        ),
        "correct": (
            accuracy_on_correct,
            "share of solutions without an error in which none is found",
        ),
    }
    found = []
    for name, (statistic, what) in measures.items():
        subsets = {
            contender: {
                split: replace(subset, statistic=statistic) for split, subset in by_split.items()
            }
            for contender, by_split in contenders.items()
        }
        rows: dict[str, Row] = {}
        # The benchmark's own figure is the mean over files; that of one file is the file's.
        if len(subsets["model"]) > 1:
            rows["mean"] = {
                contender: weighted_mean(list(by_split.values()), resampling)
                for contender, by_split in subsets.items()
            }
        for split in subsets["model"]:
            label = f"{split} (tuned on it)" if split == tune_on else split
            rows[label] = {
                contender: by_split[split].estimate(resampling)
                for contender, by_split in subsets.items()
            }
        found.append(Table(name, what, rows, plot="bars" if name == "F1" else "none"))
    return found


def best_threshold(solutions: Sequence[ScoredSolution]) -> float:
    """The threshold with the highest F1, among the upper ends of the solutions' windows.

    F1 changes only at the ends of windows, so no other threshold can be better.
    """
    highs = np.unique([s.window[1] for s in solutions if np.isfinite(s.window[1])])
    if not highs.size:
        # Only errors in first steps: any threshold above all scores finds them.
        return np.inf
    found = [float(f1(threshold_columns(solutions, high).sum(axis=0))) for high in highs]
    return float(highs[int(np.argmax(np.nan_to_num(found)))])


def threshold_columns(solutions: Sequence[ScoredSolution], threshold: float) -> Sums:
    """Hits and number of erroneous solutions, hits and number of correct ones."""
    hits = [low < threshold <= high for low, high in (s.window for s in solutions)]
    return hit_columns(solutions, [float(hit) for hit in hits])


def hit_columns(solutions: Sequence[ScoredSolution], hits: list[float]) -> Sums:
    """The same four columns from each solution's probability of a hit."""
    correct = np.array([solution.label == NO_ERROR for solution in solutions])
    hit = np.array(hits)
    return np.stack([hit * ~correct, ~correct, hit * correct, correct], axis=1).astype(float)


def accuracy_on_erroneous(sums: Sums) -> Sums:
    return ratio(sums[..., 0], sums[..., 1])


def accuracy_on_correct(sums: Sums) -> Sums:
    return ratio(sums[..., 2], sums[..., 3])


def f1(sums: Sums) -> Sums:
    """Harmonic mean of the accuracies on erroneous and on correct solutions."""
    wrong, right = accuracy_on_erroneous(sums), accuracy_on_correct(sums)
    # The harmonic mean of two zeros is zero, which the formula leaves undefined.
    return np.where(wrong + right == 0, 0.0, ratio(2 * wrong * right, wrong + right))


def tuned_subsets(solutions: list[ScoredSolution], tune_on: str) -> dict[str, Subset]:
    """A subset for each file, all with the threshold that is best for one of them.

    Raises:
        StageError: that file is not there.
    """
    by_split = split_by_file(solutions)
    if tune_on not in by_split:
        raise StageError(f"no file of ProcessBench is {tune_on}: tune_on one of {list(by_split)}")
    threshold = best_threshold(by_split[tune_on])
    return {
        split: Subset([s.group for s in members], threshold_columns(members, threshold), f1)
        for split, members in by_split.items()
    }


def guessed_subsets(solutions: list[ScoredSolution]) -> dict[str, Subset]:
    """A subset for each file, with one of the steps or none guessed, each as likely."""
    subsets = {}
    for split, members in split_by_file(solutions).items():
        # The step after the last one stands for "no error".
        chances = [1 / (len(solution.scores) + 1) for solution in members]
        groups = [solution.group for solution in members]
        subsets[split] = Subset(groups, hit_columns(members, chances), f1)
    return subsets


def split_by_file(solutions: list[ScoredSolution]) -> dict[str, list[ScoredSolution]]:
    """Solutions of each file, by the files' names in order."""
    splits = sorted({solution.split for solution in solutions})
    return {split: [s for s in solutions if s.split == split] for split in splits}
