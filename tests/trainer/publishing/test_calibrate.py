import pytest

from trainer.publishing.calibrate import fit


def test_mean_deviation_and_deciles() -> None:
    calibration = fit([float(score) for score in range(101)])
    assert (calibration.mean, calibration.n) == (50.0, 101)
    assert calibration.std == pytest.approx(29.3, abs=0.01)
    assert calibration.deciles == (10, 20, 30, 40, 50, 60, 70, 80, 90)


def test_scores_that_are_mostly_equal_have_no_deciles() -> None:
    assert fit([1.0] * 50 + [2.0] * 50).deciles is None
