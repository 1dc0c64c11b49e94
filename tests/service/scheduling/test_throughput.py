"""The expected time comes from measured batches, and its error from measured requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scheduling.throughput import ThroughputEstimator

RATIOS = st.lists(st.floats(0, 100), max_size=300)


def test_nothing_is_expected_before_the_first_batch() -> None:
    assert ThroughputEstimator().expected(10**6) == 0


def test_the_expected_time_is_the_work_and_the_batch_that_runs_before() -> None:
    throughput = ThroughputEstimator()
    throughput.note_batch(1000, 0.5)
    assert throughput.speed == 2000
    assert throughput.expected(3000) == 2.0
    for _ in range(50):
        throughput.note_batch(1000, 1.0)
    assert throughput.expected(3000) == pytest.approx(4.0, rel=1e-3)


def test_one_bad_answer_in_hundreds_does_not_count_and_three_do() -> None:
    throughput = ThroughputEstimator()
    for _ in range(199):
        throughput.note_request("interactive", expected=1.0, took=1.0)
    usual = throughput.latest("interactive", 1.0)
    throughput.note_request("interactive", expected=1.0, took=2.0)
    assert throughput.latest("interactive", 1.0) == usual
    for _ in range(2):
        throughput.note_request("interactive", expected=1.0, took=2.0)
    assert throughput.latest("interactive", 1.0) == pytest.approx(2.2)
    assert throughput.latest("bulk", 1.0) == usual, "bulk work waits for other reasons"
    for _ in range(200):
        throughput.note_request("interactive", expected=1.0, took=1.0)
    assert throughput.latest("interactive", 1.0) == usual


@given(RATIOS)
def test_the_error_stays_within_bounds(ratios: list[float]) -> None:
    throughput = ThroughputEstimator()
    for ratio in ratios:
        throughput.note_request("interactive", expected=1.0, took=ratio)
        assert 1.2 < throughput.latest("interactive", 1.0) < 2.8
