import json
from math import tanh
from pathlib import Path

import pytest

from tests.trainer.evaluation.made import RESAMPLING
from trainer.evaluation.benchmarks.reward_bench_2 import read_questions, tables
from trainer.evaluation.measures.scored import ScoredQuestion
from trainer.pipeline.stage import StageError


def row(name: str, subset: str, right: int, wrong: int) -> dict[str, object]:
    return {
        "id": name,
        "prompt": f"question {name}",
        "chosen": [f"right {n}" for n in range(right)],
        "rejected": [f"wrong {n}" for n in range(wrong)],
        "num_correct": right,
        "num_incorrect": wrong,
        "total_completions": right + wrong,
        "models": ["human"],
        "subset": subset,
        "additional_metadata": {"category": None},
    }


def judged(
    folder: Path, cases: list[tuple[dict[str, object], tuple[float, ...]]]
) -> list[ScoredQuestion]:
    file = folder / "test.json"
    file.write_text(json.dumps([written for written, _ in cases]))
    questions = read_questions(file)
    return [ScoredQuestion(q, scores) for q, (_, scores) in zip(questions, cases, strict=True)]


def test_the_chosen_one_of_four_must_be_best_and_ties_share(tmp_path: Path) -> None:
    items = judged(
        tmp_path,
        [
            (row("1", "Math", 1, 3), (1.0, 0.0, 0.0, 0.0)),
            (row("2", "Math", 1, 3), (1.0, 1.0, 0.0, 0.0)),
            (row("3", "Focus", 1, 3), (0.0, 1.0, 0.0, 0.0)),
        ],
    )
    rows = tables(items, RESAMPLING)[0].rows
    assert rows["Math"]["model"].value == 0.75
    assert rows["Math"]["random"].value == 0.25
    assert rows["overall"]["model"].value == pytest.approx((0.75 + 0.0) / 2)


def test_ties_are_accuracy_and_margins_as_published(tmp_path: Path) -> None:
    """Question 1 has all it can have; in question 2 right ones differ more than from wrong ones."""
    items = judged(
        tmp_path,
        [
            (row("ref:1", "Ties", 1, 2), (5.0, 0.0, 1.0)),
            (row("tied:1", "Ties", 2, 2), (4.0, 5.0, 1.0, 0.0)),
            (row("ref:2", "Ties", 1, 2), (0.0, 2.0, 1.0)),
            (row("tied:2", "Ties", 2, 1), (2.0, 9.0, 1.0)),
        ],
    )
    margin = (tanh(3 / 1 - 1) + tanh(-2 / 7 - 1)) / 2
    expected = 0.3 * 1.0 + 0.3 * 0.5 + 0.2 * 0.5 + 0.2 * 0.5 + 0.01 * margin
    found = tables(items, RESAMPLING)[0].rows["Ties"]
    assert found["model"].value == pytest.approx(expected)
    assert found["random"].value > 0


def test_ids_of_ties_say_what_belongs_together(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="ref:N or tied:N"):
        judged(tmp_path, [(row("7", "Ties", 2, 2), (0.0,) * 4)])
