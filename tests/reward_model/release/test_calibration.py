import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from reward_model.release.calibration import Calibration

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


@pytest.mark.parametrize("deciles", [(1.0,) * 9, tuple(range(8)), (0.0, float("nan"))])
def test_refuses_deciles_that_are_none(deciles: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Calibration(mean=0.0, std=1.0, n=10, reference="test", deciles=deciles)


def test_deciles_are_the_references_own_or_a_normal_distributions() -> None:
    own = tuple(float(cut) for cut in range(9))
    known = CALIBRATION.model_copy(update={"deciles": own})
    assert known.expected_deciles() == own
    normal = CALIBRATION.expected_deciles()
    assert (len(normal), normal[4]) == (9, CALIBRATION.mean)
    assert normal[8] == pytest.approx(1.0 + 2.0 * 1.2815515655)


def test_a_release_without_deciles_is_written_as_it_was_before_there_were_any() -> None:
    """Otherwise its seal, which is a hash of that, would not hold any more."""
    assert CALIBRATION.model_dump_json() == '{"mean":1.0,"std":2.0,"n":10,"reference":"test"}'
    read = Calibration.model_validate_json(CALIBRATION.model_dump_json())
    assert (read, read.deciles) == (CALIBRATION, None)
    own = CALIBRATION.model_copy(update={"deciles": tuple(float(cut) for cut in range(9))})
    assert Calibration.model_validate_json(own.model_dump_json()) == own
