import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from reward_model.calibration import Calibration

CALIBRATION = Calibration(mean=1.0, std=2.0, n=10, reference="test")


def test_is_the_standard_score() -> None:
    assert CALIBRATION.apply(5.0) == 2.0


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_keeps_the_order(left: float, right: float) -> None:
    low, high = sorted((left, right))
    assert CALIBRATION.apply(low) <= CALIBRATION.apply(high)


@pytest.mark.parametrize("std", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_a_spread_that_cannot_divide(std: float) -> None:
    with pytest.raises(ValidationError):
        Calibration(mean=0.0, std=std, n=10, reference="test")
