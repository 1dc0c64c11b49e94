import pytest

from benchmarks.harness import ranking
from benchmarks.harness.ranking import Credit


@pytest.mark.parametrize(
    ("scores", "first", "reciprocal"),
    [
        ([3.0, 1.0, 2.0], 1.0, 1.0),
        ([1.0, 3.0, 2.0], 0.0, 1 / 3),
        ([2.0, 2.0, 1.0], 0.5, (1 + 1 / 2) / 2),
        ([1.0, 2.0, 1.0], 0.0, (1 / 2 + 1 / 3) / 2),
        ([1.0, 1.0, 1.0], 1 / 3, (1 + 1 / 2 + 1 / 3) / 3),
    ],
)
def test_ties_share_credit(scores: list[float], first: float, reciprocal: float) -> None:
    assert ranking.first(0, scores).earned == pytest.approx(first)
    assert ranking.reciprocal_rank(0, scores).earned == pytest.approx(reciprocal)


def test_pairs_count_the_outranked_and_half_of_the_tied() -> None:
    assert ranking.pairs(1, [0.0, 1.0, 1.0, 2.0], [0, 2, 3]) == Credit(1.5, 3)


def test_an_estimate_weighs_questions_by_what_they_could_earn() -> None:
    found = ranking.estimate([Credit(4, 4), Credit(0, 1)] * 20)
    assert found.mean == pytest.approx(0.8)
    assert 0.5 < found.low < 0.8 < found.high < 1


def test_an_estimate_is_the_same_every_time_and_certain_when_all_agree() -> None:
    mixed = [Credit(i % 2) for i in range(30)]
    assert ranking.estimate(mixed) == ranking.estimate(mixed)
    assert ranking.estimate([Credit(1)] * 5) == ranking.Estimate(1.0, 1.0, 1.0)


def test_a_difference_goes_question_by_question() -> None:
    found = ranking.difference([Credit(1), Credit(0)], [Credit(0), Credit(0)])
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)
