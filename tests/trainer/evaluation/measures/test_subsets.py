import numpy as np
import pytest

from tests.trainer.evaluation.made import RESAMPLING, judged, question
from trainer.evaluation.measures.estimate import mean
from trainer.evaluation.measures.subsets import Subset, best_is_right, weighted_mean


def test_subsets_count_by_their_weights() -> None:
    def subset(values: list[float], weight: float) -> Subset:
        columns = np.array([(value, 1.0) for value in values])
        return Subset([f"{weight} {n}" for n in range(len(values))], columns, mean, weight)

    found = weighted_mean([subset([1.0] * 4, 1.0), subset([0.0] * 2, 3.0)], RESAMPLING)
    assert found.value == pytest.approx(0.25)
    assert found.n == 6


def test_a_resample_without_a_subset_is_the_mean_of_the_others() -> None:
    """The subset of zeros has one group, which many resamples do not draw."""
    many = Subset([f"m{n}" for n in range(9)], np.array([(1.0, 1.0)] * 9), mean)
    few = Subset(["f"], np.array([(0.0, 1.0)]), mean)
    found = weighted_mean([many, few], RESAMPLING)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 1.0)


def test_the_best_answer_must_be_right_and_ties_share() -> None:
    scored = [
        judged((1.0, 0.0), question((True, False), group="a")),
        judged((1.0, 1.0), question((True, False), group="b")),
    ]
    assert best_is_right(scored, "model").estimate(RESAMPLING).value == 0.75
    assert best_is_right(scored, "random").estimate(RESAMPLING).value == 0.5
