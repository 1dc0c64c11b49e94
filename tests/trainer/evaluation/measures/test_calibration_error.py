import numpy as np
import pytest
from scipy.special import expit

from tests.trainer.evaluation.made import RESAMPLING, pair
from trainer.evaluation.measures.calibration_error import (
    Margins,
    error_table,
    expected_error,
    margins,
    reliability,
)


def simulated(temperature: float) -> Margins:
    """Pairs that are right as often as sigmoid(margin / temperature) says."""
    rng = np.random.default_rng(0)
    size = rng.exponential(2.0, 20_000)
    right = rng.random(len(size)) < expit(size / temperature)
    return Margins(np.arange(len(size)), np.where(right, size, -size))


def test_a_calibrated_model_has_hardly_any_error_at_its_temperature() -> None:
    of = simulated(3.0)
    assert expected_error(of, 3.0, RESAMPLING).value < 0.015
    assert expected_error(of, 1.0, RESAMPLING).value > 0.1


def test_claiming_nothing_or_everything_costs_what_it_must() -> None:
    of = Margins(np.arange(4), np.array([3.0, 1.0, 2.0, -1.0]))
    row = error_table(of, 1.0, RESAMPLING).rows["expected calibration error"]
    assert row["coin"].value == pytest.approx(0.0)  # half sure, and a tie is half right
    assert row["certain"].value == pytest.approx(0.25)


def test_margins_are_of_every_pair() -> None:
    of = margins([pair(2.0, 0.5), pair(1.0, 1.0, group="b")])
    assert (of.groups.tolist(), of.values.tolist()) == ([0, 1], [1.5, 0.0])


def test_the_reliability_of_a_calibrated_model_is_its_confidence() -> None:
    for row in reliability(simulated(1.0), 1.0, RESAMPLING).rows.values():
        assert row["model"].value == pytest.approx(row["confidence"].value, abs=0.06)
