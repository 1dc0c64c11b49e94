import pytest

from trainer.evaluation.measures.estimate import Resampling
from trainer.policy.comparison import compare

GROUPS = [str(number) for number in range(40)]
START = [number % 4 / 4 for number in range(40)]
BETTER = [min(1.0, value + 0.1) for value in START]


def test_every_policy_stands_beside_the_first_one() -> None:
    found = compare(GROUPS, {"start": START, "round 1": BETTER}, Resampling(200))
    assert list(found) == ["start", "round 1"]
    assert found["start"].gain is None
    gain = found["round 1"].gain
    assert gain is not None
    assert gain.value == pytest.approx(0.1)
    assert found["round 1"].value.n == gain.n == 40


def test_the_difference_is_paired_so_that_its_interval_is_narrow() -> None:
    found = compare(GROUPS, {"start": START, "round 1": BETTER}, Resampling(200))
    gain = found["round 1"].gain
    assert gain is not None
    assert gain.low > 0.09  # each problem gains the same
    assert found["round 1"].value.low < found["start"].value.high  # the means alone say nothing


def test_one_group_alone_says_nothing_about_others() -> None:
    found = compare(["one"] * 40, {"start": START, "round 1": BETTER}, Resampling(200))
    gain = found["round 1"].gain
    assert gain is not None
    assert (gain.low, gain.high) == (-1.0, 1.0)
