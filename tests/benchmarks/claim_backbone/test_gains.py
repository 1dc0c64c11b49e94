"""Figures of the study over seeds and problems."""

import numpy as np
import pytest

from benchmarks.claim_backbone.exercises import Exercise
from benchmarks.claim_backbone.finetuned import Finetuned
from benchmarks.claim_backbone.gains import (
    best_of_n,
    figure,
    first,
    gain,
    over_seeds_and_problems,
    pairwise,
    rule,
)
from trainer.evaluation.question import Question

QUESTIONS = [
    Question("1", "one", "Q", ("right", "x", "yy"), (True, False, False)),
    Question("2", "two", "Q", ("right", "wrong"), (True, False)),
]
EXERCISE = Exercise("task", "what", [], QUESTIONS)
BEST, WORST = [[1.0, 0.0, 0.0], [1.0, 0.0]], [[0.0, 1.0, 2.0], [0.0, 1.0]]


def run(arm: str, seed: int, scores: list[list[float]]) -> Finetuned:
    return Finetuned("task", arm, 50, seed, "hash", 50, 16, (1.0, 1.0), scores)


RUNS = [run("ours", 1, BEST), run("ours", 2, BEST), run("base", 2, WORST), run("base", 3, BEST)]


def test_an_interval_covers_seeds_as_well_as_problems() -> None:
    same = np.ones((3, 40)) * 0.5
    by_seed = same + np.array([[-0.2], [0.0], [0.2]])
    most = np.ones(40)
    assert over_seeds_and_problems(same, most).high == pytest.approx(0.5)
    found = over_seeds_and_problems(by_seed, most)
    assert found.mean == pytest.approx(0.5)
    assert found.low < 0.4 < 0.6 < found.high
    # A rule without a seed has problems alone.
    alone = over_seeds_and_problems(np.arange(40.0)[None] / 39, most)
    assert alone.low < 0.45 < alone.mean < 0.55 < alone.high


def test_a_gain_compares_runs_of_the_same_seed() -> None:
    found = gain(EXERCISE, RUNS, ("ours", "base"), 50, pairwise)
    assert found
    assert (found.mean, found.low, found.high) == pytest.approx((1, 1, 1))
    assert gain(EXERCISE, RUNS, ("ours", "other"), 50, pairwise) is None


def test_a_figure_is_over_all_seeds_of_its_arm() -> None:
    found = figure(EXERCISE, RUNS, "base", 50, pairwise)
    assert found
    assert found.mean == pytest.approx(0.5)
    assert figure(EXERCISE, RUNS, "base", 200, pairwise) is None


def test_the_best_of_n_is_over_questions_with_so_many_candidates() -> None:
    found = figure(EXERCISE, RUNS, "ours", 50, best_of_n(3))
    assert found
    assert found.mean == pytest.approx(1)
    assert rule(EXERCISE, "random", best_of_n(3)).mean == pytest.approx(1 / 3)
    assert rule(EXERCISE, "random", first).mean == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_length_ranks_the_same_candidates() -> None:
    assert rule(EXERCISE, "length_only", pairwise).mean == pytest.approx((2 + 0.5) / 3)
    assert rule(EXERCISE, "random", pairwise).mean == pytest.approx(1 / 2)
