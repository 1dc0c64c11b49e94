import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.evaluation.made import RESAMPLING
from trainer.evaluation.benchmarks.process_bench import (
    NO_ERROR,
    ScoredSolution,
    best_threshold,
    f1,
    guessed_subsets,
    read_questions,
    threshold_columns,
    tuned_subsets,
)
from trainer.pipeline.stage import StageError

steps = st.lists(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]), min_size=1, max_size=5)


def solution(scores: list[float], label: int, split: str = "gsm8k") -> ScoredSolution:
    return ScoredSolution(str(scores), split, tuple(scores), label)


def first_below(scores: list[float], threshold: float) -> int:
    return next((n for n, score in enumerate(scores) if score < threshold), NO_ERROR)


@given(steps, st.data())
def test_the_window_holds_the_thresholds_that_find_the_step(
    scores: list[float], data: st.DataObject
) -> None:
    label = data.draw(st.integers(NO_ERROR, len(scores) - 1))
    threshold = data.draw(st.sampled_from([-1.5, -1.0, 0.0, 0.5, 2.0]))
    low, high = solution(scores, label).window
    assert (low < threshold <= high) == (first_below(scores, threshold) == label)


def test_f1_is_the_harmonic_mean_of_both_accuracies() -> None:
    found = [
        solution([1.0, -1.0], 1),
        solution([1.0, 0.5], 0),
        solution([1.0, 2.0], NO_ERROR),
        solution([0.2, 3.0], NO_ERROR),
    ]
    sums = threshold_columns(found, 0.1).sum(axis=0)
    assert sums.tolist() == [1.0, 2.0, 2.0, 2.0]
    assert f1(sums) == pytest.approx(2 * 0.5 * 1.0 / 1.5)
    assert f1(np.array([0.0, 2.0, 0.0, 2.0])) == 0.0


def test_the_threshold_of_one_file_reads_all_of_them() -> None:
    tuned = [solution([3.0, 1.0], 1), solution([2.5, 2.5], NO_ERROR)]
    other = [solution([0.0, 0.5], NO_ERROR, "math"), solution([3.0, 0.0], 1, "math")]
    assert 1.0 < best_threshold(tuned) <= 2.5
    parts = tuned_subsets(tuned + other, "gsm8k")
    assert parts["gsm8k"].estimate(RESAMPLING).value == 1.0
    assert (
        parts["math"].estimate(RESAMPLING).value == 0.0
    )  # its correct one lies below the threshold
    with pytest.raises(StageError, match="tune_on one of"):
        tuned_subsets(other, "gsm8k")


def test_a_guess_is_one_of_the_steps_or_none() -> None:
    part = guessed_subsets([solution([0.0] * 3, 2), solution([0.0], NO_ERROR)])["gsm8k"]
    assert part.columns.sum(axis=0).tolist() == pytest.approx([0.25, 1.0, 0.5, 1.0])


def written(folder: Path, label: int, steps: list[str]) -> Path:
    file = folder / "gsm8k.json"
    row = {
        "id": "gsm8k-0",
        "generator": "model",
        "problem": "How many?",
        "steps": steps,
        "final_answer_correct": False,
        "label": label,
    }
    file.write_text(json.dumps([row]))
    return file


def test_solutions_are_read_in_steps(tmp_path: Path) -> None:
    (question,), labels = read_questions(written(tmp_path, 1, ["Add.", "Say 3."]), Counter())
    assert question.answers == (("Add.", "Say 3."),)
    assert (labels, question.source) == ({"gsm8k-0": 1}, "gsm8k")


def test_what_cannot_be_read_is_counted_or_refused(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    assert read_questions(written(tmp_path, 0, ["Add.", " "]), counts) == ([], {})
    assert counts == {"solution with an empty step": 1}
    with pytest.raises(StageError, match="label 2 of 1 steps"):
        read_questions(written(tmp_path, 2, ["Add."]), Counter())
