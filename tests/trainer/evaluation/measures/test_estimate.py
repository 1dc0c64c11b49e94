import numpy as np

from tests.trainer.evaluation.made import RESAMPLING
from trainer.evaluation.measures.estimate import estimate, mean, share


def test_the_interval_is_over_groups() -> None:
    alike = share(["a", "a", "b", "b"], [1.0, 0.0, 1.0, 0.0], RESAMPLING)
    assert (alike.value, alike.low, alike.high, alike.n) == (0.5, 0.5, 0.5, 4)
    split = share(["a", "a", "b", "b"], [1.0, 1.0, 0.0, 0.0], RESAMPLING)
    assert (split.value, split.low, split.high) == (0.5, 0.0, 1.0)


def test_one_group_says_nothing_about_others() -> None:
    alone = share(["a", "a"], [1.0, 1.0], RESAMPLING)
    assert (alone.value, alone.low, alone.high) == (1.0, 0.0, 1.0)


def test_a_resample_that_holds_nothing_is_passed_over() -> None:
    columns = np.array([[1.0, 1.0]] + [[0.0, 0.0]] * 2)
    found = estimate(["a", "b", "c"], columns, mean, RESAMPLING)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = [float(value) for value in np.random.default_rng(0).random(50)]
    groups = [str(index) for index in range(50)]
    assert share(groups, values, RESAMPLING) == share(groups, values, RESAMPLING)
