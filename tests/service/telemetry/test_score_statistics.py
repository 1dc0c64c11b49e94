"""Against numpy's weighted moments, and against values known by hand."""

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_model.release.calibration import Calibration
from service.telemetry.score_statistics import (
    MEMORY,
    MIN_SCORES,
    Floats,
    RecentMoments,
    RecentShares,
    ScoreStatistics,
    population_stability_index,
)

NORMAL = Calibration(mean=10.0, std=2.0, n=100, reference="test")
EXPECTED = NormalDist(NORMAL.mean, NORMAL.std)

rows = st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(1, 5000)), min_size=2, max_size=60)


def weights(count: int) -> Floats:
    return np.exp(-np.arange(count - 1, -1, -1) / MEMORY)


@given(rows, st.integers(0, 60), st.floats(-1e6, 1e6))
def test_moments_are_numpys_however_the_rows_come(
    seen: list[tuple[float, int]], cut: int, offset: float
) -> None:
    table = np.array(seen, float) + np.array([offset, 0.0])
    moments = RecentMoments(2)
    for part in (table[:cut], table[cut:]):
        if len(part):
            moments.add(part)
    means = np.average(table, axis=0, weights=weights(len(table)))
    assert moments.means == pytest.approx(means, rel=1e-9, abs=1e-9)
    covariance = np.cov(table.T, aweights=weights(len(table)), ddof=0)
    deviations = np.sqrt(np.diag(covariance))
    if np.all(deviations > 1e-3):
        expected = covariance[0, 1] / deviations.prod()
        assert moments.correlation(0, 1) == pytest.approx(expected, abs=1e-6)


def test_moments_of_nothing_and_of_what_does_not_vary() -> None:
    moments = RecentMoments(2)
    assert np.isnan(moments.means).all()
    assert math.isnan(moments.correlation(0, 1))
    moments.add(np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 9.0]]))
    assert math.isnan(moments.correlation(0, 1))


def test_old_scores_fade() -> None:
    statistics = ScoreStatistics(NORMAL)
    statistics.add([(0.0, 1)] * 10_000)
    statistics.add([(1.0, 1)] * MEMORY)
    assert statistics.mean == pytest.approx(1 - 1 / math.e, abs=1e-3)


def test_correlation_with_length_is_told_once_enough_is_known() -> None:
    statistics = ScoreStatistics(None)
    statistics.add((-2.0 * n, n) for n in range(1, MIN_SCORES))
    assert math.isnan(statistics.length_correlation)
    statistics.add([(-2.0 * MIN_SCORES, MIN_SCORES)])
    assert statistics.length_correlation == pytest.approx(-1)


def test_stability_index_of_known_shares() -> None:
    seen, expected = np.array([0.2, 0.8]), np.array([0.5, 0.5])
    by_hand = -0.3 * math.log(0.4) + 0.3 * math.log(1.6)
    assert population_stability_index(seen, expected) == pytest.approx(by_hand)


@given(st.lists(st.floats(0.01, 1), min_size=10, max_size=10))
def test_stability_index_is_never_negative_and_zero_for_equals(shares: list[float]) -> None:
    seen, uniform = np.array(shares) / sum(shares), np.full(10, 0.1)
    assert population_stability_index(seen, uniform) >= -1e-12
    assert population_stability_index(seen, seen) == 0


def scores_like(reference: NormalDist, count: int = 2000) -> list[float]:
    """The middle of each of `count` parts of equal probability, in no order."""
    middles = [reference.inv_cdf((index + 0.5) / count) for index in range(count)]
    return [middles[index * 7919 % count] for index in range(count)]


def drift_of(scores: list[float], calibration: Calibration = NORMAL) -> float:
    statistics = ScoreStatistics(calibration)
    statistics.add((score, 1) for score in scores)
    return statistics.drift


def test_scores_like_the_reference_do_not_drift_and_others_do() -> None:
    assert drift_of(scores_like(EXPECTED)) < 0.01
    half_a_deviation = drift_of(scores_like(NormalDist(11.0, 2.0)))
    assert 0.2 < half_a_deviation < 0.3
    assert drift_of(scores_like(NormalDist(10.0, 0.5))) > 1
    # Ten times 1/10 expected and one bin seen: finite, because empty bins are not quite empty.
    assert 4 < drift_of([100.0] * 1000) < 9


def test_drift_is_against_the_references_own_deciles_where_it_has_them() -> None:
    """A reference of two peaks is not normal; its own scores must not count as drift."""
    peaks = scores_like(NormalDist(8.2, 0.5), 1000) + scores_like(NormalDist(11.8, 0.5), 1000)
    mixed = [peaks[index * 7919 % 2000] for index in range(2000)]
    deciles = tuple(np.quantile(mixed, np.arange(1, 10) / 10).tolist())
    own = NORMAL.model_copy(update={"deciles": deciles})
    assert drift_of(mixed, own) < 0.01
    assert drift_of(mixed) > 0.25


def test_nothing_is_said_about_drift_too_early_or_without_calibration() -> None:
    assert math.isnan(drift_of([10.0] * (MIN_SCORES - 1)))
    assert not math.isnan(drift_of([10.0] * MIN_SCORES))
    bare = ScoreStatistics(None)
    bare.add([(10.0, 1)] * MIN_SCORES)
    assert math.isnan(bare.drift)


def test_shares_do_not_depend_on_how_the_values_come() -> None:
    values = np.array(scores_like(EXPECTED, 300))
    at_once, in_parts = (RecentShares(NORMAL.expected_deciles()) for _ in range(2))
    at_once.add(values)
    for part in np.array_split(values, 7):
        in_parts.add(part)
    assert at_once.stability_index() == pytest.approx(in_parts.stability_index())


def test_statistics_do_not_depend_on_how_many_scores_come_at_once() -> None:
    scores = [(score, index % 50) for index, score in enumerate(scores_like(EXPECTED))]
    at_once, one_by_one = ScoreStatistics(NORMAL), ScoreStatistics(NORMAL)
    at_once.add(scores)
    for pair in scores:
        one_by_one.add([pair])
    assert one_by_one.counts.tolist() == at_once.counts.tolist()
    for left, right in [
        (one_by_one.mean, at_once.mean),
        (one_by_one.length_correlation, at_once.length_correlation),
        (one_by_one.drift, at_once.drift),
    ]:
        assert left == pytest.approx(right, abs=1e-9)


def test_the_histogram_is_in_deviations_around_the_mean() -> None:
    statistics = ScoreStatistics(NORMAL)
    assert (statistics.bounds[0], statistics.bounds[-1]) == (2.0, 18.0)
    statistics.add((score, 1) for score in (2.0, 2.1, 10.0, 18.0, 18.1))
    assert statistics.counts[[0, 1, 8, 16, 17]].tolist() == [1, 1, 1, 1, 1]
    assert all(left < right for left, right in pairwise(ScoreStatistics(None).bounds))


def test_no_scores_change_nothing() -> None:
    statistics = ScoreStatistics(NORMAL)
    statistics.add([])
    assert statistics.counts.sum() == 0
    assert math.isnan(statistics.mean)
