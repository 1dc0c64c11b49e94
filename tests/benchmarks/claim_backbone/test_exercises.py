"""What the study on a backbone draws to finetune on, and what it holds out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.claim_backbone.exercises import Exercise, Limits, draw, of_samples
from tests.trainer.feedback.made import (
    function,
    make_problems,
    make_samples,
    make_stage,
    sampled,
)
from trainer.feedback.pass_count import STEM, PassCount
from trainer.pairs.row import PreferenceRow, Rejected


def stages(folder: Path, names: list[str], samples: int = 6) -> list[Path]:
    """Stages of problems whose first two samples pass, in a folder of their own."""
    rows = [sampled(name, number) for name in names for number in range(samples)]
    counts = [PassCount(row.id, row.problem, 3 if row.number < 2 else 1, 3) for row in rows]
    make_problems(folder / "problems", [function(name) for name in names])
    make_samples(folder / "samples", rows)
    make_stage(folder / "votes", {STEM: counts})
    return [folder / "problems", folder / "samples", folder / "votes"]


def problem(number: int, rows: int) -> list[PreferenceRow]:
    wrong = tuple(Rejected("wrong", f"wrong {each}") for each in range(3))
    group = str(number)
    return [PreferenceRow(f"{group}-{row}", group, "Q", "right", wrong) for row in range(rows)]


EXERCISE = Exercise("task", "what", [problem(number, 1 + number % 3) for number in range(20)], [])
ALL = sum(len(row.rejected) for rows in EXERCISE.train for row in rows)


@given(pairs=st.integers(1, ALL + 20), seed=st.integers(0, 5))
def test_as_many_pairs_are_drawn_as_asked_for_or_all(pairs: int, seed: int) -> None:
    found = draw(EXERCISE, pairs, seed)
    assert sum(len(row.rejected) for row in found) == min(pairs, ALL)
    assert all(row.rejected for row in found)
    assert found == draw(EXERCISE, pairs, seed)


def test_every_problem_has_a_row_before_any_has_two() -> None:
    found = draw(EXERCISE, 3 * len(EXERCISE.train), seed=1)
    assert sorted(row.group for row in found) == sorted(str(number) for number in range(20))


def test_samples_that_pass_stand_over_those_that_do_not(tmp_path: Path) -> None:
    train = stages(tmp_path / "train", ["a", "b"])
    test = stages(tmp_path / "test", ["c", "d", "e"])
    found = of_samples([train], test, Limits(problems=2, candidates=4))
    assert [len(rows) for rows in found.train] == [2, 2]
    (row, _), _ = found.train
    assert row.prompt == "Solve a."
    assert row.chosen == "def f(): return 0"
    assert [rival.text for rival in row.rejected] == [f"def f(): return {n}" for n in (2, 3, 4)]
    assert len({question.group for question in found.test}) == 2
    assert all(question.correct == (True, True, False, False) for question in found.test)


def test_samples_of_several_stages_are_of_one_problem(tmp_path: Path) -> None:
    first = stages(tmp_path / "first", ["a"])
    second = stages(tmp_path / "second", ["a", "b"], samples=8)
    test = stages(tmp_path / "test", ["c"])
    found = of_samples([first, second], test, Limits(problems=1, candidates=4))
    assert [rows[0].group for rows in found.train] == ["a", "b"]
    # The same text twice is one answer.
    assert [len(rows) for rows in found.train] == [2, 2]


def test_a_problem_is_never_trained_on_and_tested(tmp_path: Path) -> None:
    train = stages(tmp_path / "train", ["a", "b"])
    test = stages(tmp_path / "test", ["b", "c"])
    with pytest.raises(ValueError, match="b is to be trained on and to be tested"):
        of_samples([train], test, Limits(problems=2, candidates=4))
