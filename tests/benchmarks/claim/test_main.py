"""The claim's study: what is drawn, and what the page makes of the runs."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.claim.page import BASE, PRETRAINED, accuracies, gain, over_seeds
from benchmarks.claim.run import Run
from benchmarks.claim.tasks import Task, draw
from trainer.pairs.row import PreferenceRow, Rejected


def problem(number: int, rows: int) -> list[PreferenceRow]:
    wrong = tuple(Rejected("wrong", f"wrong {each}") for each in range(3))
    group = str(number)
    return [PreferenceRow(f"{group}-{row}", group, "Q", "right", wrong) for row in range(rows)]


TASK = Task("task", "what", [problem(number, 1 + number % 2) for number in range(20)], [])
ALL = sum(len(row.rejected) for each in TASK.train for row in each)


@given(pairs=st.integers(1, ALL + 20), seed=st.integers(0, 5))
def test_as_many_pairs_are_drawn_as_asked_for_or_all(pairs: int, seed: int) -> None:
    found = draw(TASK, pairs, seed)
    assert sum(len(row.rejected) for row in found) == min(pairs, ALL)
    assert all(row.rejected for row in found)
    assert found == draw(TASK, pairs, seed)


def test_problems_are_drawn_whole_but_for_the_last() -> None:
    found = draw(TASK, 40, seed=1)
    whole = {row.id for each in TASK.train for row in each if each[0].group != found[-1].group}
    groups = {row.group for row in found} - {found[-1].group}
    assert {row.id for row in found if row.group in groups} == {
        id_ for id_ in whole if id_.split("-")[0] in groups
    }


def test_more_pairs_begin_with_the_same_ones() -> None:
    few, many = draw(TASK, 12, seed=3), draw(TASK, 30, seed=3)
    assert [row.id for row in many][: len(few)] == [row.id for row in few]


def run(arm: str, seed: int, accuracy: float) -> Run:
    return Run("task", arm, 50, seed, accuracy, 0.0)


def test_an_interval_over_seeds_is_students() -> None:
    found = over_seeds([0.5, 0.6, 0.7])
    assert found.mean == pytest.approx(0.6)
    assert found.high - found.mean == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-3)
    assert over_seeds([0.5]).low == -math.inf


def test_a_gain_compares_runs_of_the_same_seed() -> None:
    runs = [run(BASE, 1, 0.5), run(BASE, 2, 0.6), run(PRETRAINED, 2, 0.8), run(PRETRAINED, 1, 0.7)]
    assert accuracies(runs, "task", BASE, 50) == {1: 0.5, 2: 0.6}
    found = gain(runs, "task", PRETRAINED, 50)
    assert found
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))
    assert gain(runs, "task", "other", 50) is None
