import pytest

from benchmarks.harness.stats import fit, percentile, ratio, slope


def test_a_ratio_is_taken_turn_by_turn() -> None:
    found = ratio([2.0, 8.0, 3.0], [1.0, 2.0, 1.0])
    assert (found.median, found.low, found.high) == (3.0, 2.0, 4.0)
    assert str(found) == "3.00 [2.00, 4.00]"


def test_percentiles_lie_between_neighbours() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([0.0, 1.0], 0.99) == pytest.approx(0.99)


def test_a_fit_finds_the_line_that_made_the_points() -> None:
    found = fit([[1.0, tokens] for tokens in (10, 100, 5000)], [0.5 + 10, 0.5 + 100, 0.5 + 5000])
    assert found.coefficients == pytest.approx((0.5, 1.0))
    assert found.r_squared == pytest.approx(1)
    assert found.worst == pytest.approx(0, abs=1e-9)
    assert found.at([1.0, 7.0]) == pytest.approx(7.5)


def test_a_fit_states_its_largest_residual_as_a_share() -> None:
    assert fit([[1.0], [1.0]], [1.0, 3.0]).worst > 0.2


def test_slope() -> None:
    assert slope([(0, 5.0), (1, 7.0), (2, 9.0)]) == pytest.approx(2)
