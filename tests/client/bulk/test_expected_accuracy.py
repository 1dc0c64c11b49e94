"""Expected best-of-n against all draws, one by one, and against the trainer's estimator."""

from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codepmp_client.bulk.expected_accuracy import AccuracyCurve, best_of_n_accuracy
from trainer.evaluation.measures import best_of_n


def by_draws(scores: list[float], correct: list[float], n: int) -> float:
    values = []
    for draw in combinations(range(len(scores)), n):
        highest = max(scores[index] for index in draw)
        values.append(fmean(correct[index] for index in draw if scores[index] == highest))
    return fmean(values)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=7))
def test_it_equals_the_mean_over_all_draws(candidates: list[tuple[int, bool]]) -> None:
    scores = [float(score) for score, _ in candidates]
    correct = [float(right) for _, right in candidates]
    sizes = range(1, len(candidates) + 1)
    found = best_of_n_accuracy(scores, correct, sizes)
    assert found == pytest.approx([by_draws(scores, correct, n) for n in sizes])
    assert found == pytest.approx([best_of_n.best_of(scores, correct, n) for n in sizes])


def test_a_thousand_candidates_cost_no_precision() -> None:
    scores = [float(index % 997) for index in range(1000)]
    correct = [float(index % 7 == 0) for index in range(1000)]
    sizes = [1, 2, 16, 512, 1000]
    expected = [best_of_n.best_of(scores, correct, n) for n in sizes]
    assert best_of_n_accuracy(scores, correct, sizes) == pytest.approx(expected, rel=1e-9)


def test_a_curve_is_over_the_same_prompts_and_ends_with_all_candidates() -> None:
    curve = AccuracyCurve()
    for right_is_best in (1.0, 0.0) * 9:
        curve.add([3.0, 2.0, 1.0], [right_is_best, 0.0, 0.0])
    curve.add([1.0], [1.0])
    points, left_out = curve.points()
    assert curve.prompts == 19
    assert left_out == 1
    assert [point.n for point in points] == [1, 2, None]
    assert [point.best.value for point in points] == pytest.approx([1 / 6, 1 / 3, 1 / 2])
    assert [point.mean.value for point in points] == pytest.approx([1 / 6] * 3)
    assert [point.oracle.value for point in points] == pytest.approx([1 / 6, 1 / 3, 1 / 2])
    # 1.96 standard errors of 18 prompts, half of which are right.
    assert points[2].best.high - 0.5 == pytest.approx(1.96 * (0.25 / 17) ** 0.5, rel=1e-3)
    assert points[2].best.low + points[2].best.high == pytest.approx(1.0)


def test_without_prompts_there_is_no_curve_and_one_prompt_tells_nothing_of_others() -> None:
    curve = AccuracyCurve()
    assert curve.points() == ([], 0)
    curve.add([1.0], [1.0])
    ((point,), left_out) = curve.points()
    assert (point.n, left_out) == (1, 0)
    assert (point.best.value, point.best.low, point.best.high) == (1.0, 0.0, 1.0)
