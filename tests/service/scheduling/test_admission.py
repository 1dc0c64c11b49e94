import math
from contextlib import suppress

import pytest

from service.errors import Draining, QueueFull
from service.scheduling.admission import Admission
from service.scheduling.throughput import ThroughputEstimator

UNMEASURED = ThroughputEstimator()
"""The estimator of a model whose first batch has not run."""


def admission(*, max_items: int = 3, max_tokens: int = 100) -> Admission:
    return Admission(max_items=max_items, max_tokens=max_tokens)


def after_a_batch(tokens: int, seconds: float) -> ThroughputEstimator:
    """As measured in one batch."""
    measured = ThroughputEstimator()
    measured.note_batch(tokens, seconds)
    return measured


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("items", "tokens"), [(3, 1), (1, 100)])
def test_a_full_queue_refuses_requests_until_something_leaves(items: int, tokens: int) -> None:
    room = admission()
    with (
        room.admit("interactive", items, tokens, UNMEASURED),
        pytest.raises(QueueFull),
        room.admit("interactive", 1, 1, UNMEASURED),
    ):
        pass
    with room.admit("interactive", 1, 1, UNMEASURED):
        assert (room.items("interactive"), room.tokens("interactive")) == (1, 1)
    assert (room.items("interactive"), room.tokens("interactive")) == (0, 0)


def test_a_request_larger_than_the_queue_is_not_locked_out_by_small_ones() -> None:
    room = admission()
    with room.admit("bulk", 1, 10, UNMEASURED), room.admit("bulk", 1000, 10_000, UNMEASURED):
        assert room.items("bulk") == 1001


def test_bulk_work_never_refuses_interactive_work() -> None:
    room = admission()
    with room.admit("bulk", 99, 9999, UNMEASURED), room.admit("interactive", 1, 1, UNMEASURED):
        assert room.items("interactive") == 1


def test_room_is_given_back_job_by_job() -> None:
    room = admission()
    with room.admit("interactive", 3, 90, UNMEASURED) as reservation:
        reservation.resize(3, 120)
        reservation.release(100)
        assert (room.items("interactive"), room.tokens("interactive")) == (2, 20)
    reservation.release(20)  # a job that ends after its request was given up
    assert (room.items("interactive"), room.tokens("interactive")) == (0, 0)


def test_room_is_given_back_when_a_request_fails() -> None:
    room = admission()
    with pytest.raises(ZeroDivisionError), room.admit("bulk", 3, 100, UNMEASURED):
        raise ZeroDivisionError
    assert room.items("bulk") == 0


def test_retry_after_is_the_time_to_work_off_what_goes_before() -> None:
    room, measured = admission(max_items=9, max_tokens=10**6), ThroughputEstimator()
    assert room.retry_after("interactive", measured) == 1  # nothing measured yet
    measured.note_batch(admitted_tokens=100, busy_seconds=2.0)
    with (
        room.admit("interactive", 1, 110, measured),
        room.admit("bulk", 1, 120, measured),
        room.admit("bulk", 1, 1000, after_a_batch(10, 1.0)),
    ):
        assert room.retry_after("interactive", measured) == 3
        assert room.retry_after("bulk", measured) == 5
        measured.note_batch(
            admitted_tokens=150, busy_seconds=1.0
        )  # 50/s and 150/s, the newest at a fifth: 88/s
        assert room.retry_after("interactive", measured) == 2
        assert room.emptied_after == 60, "the other model takes longer"
    with room.admit("interactive", 1, 10**9, measured):
        assert room.retry_after("interactive", measured) == 60


def test_after_stop_nothing_new_is_admitted_and_what_is_there_stays() -> None:
    room = admission()
    with room.admit("bulk", 1, 10, UNMEASURED):
        room.stop()
        with pytest.raises(Draining), room.admit("interactive", 1, 1, UNMEASURED):
            pass
        assert room.items("bulk") == 1


def test_a_request_that_cannot_end_in_time_is_refused_before_any_work() -> None:
    room, measured = Admission(max_items=100, max_tokens=100_000), after_a_batch(1000, 1.0)
    with room.admit("interactive", 1, 5000, measured, 0.1):
        pass  # nothing goes before it, so it may try
    with room.admit("interactive", 1, 5000, measured):
        with pytest.raises(QueueFull, match="longer than this request may") as refused:
            room.admit("interactive", 1, 1000, measured, 7.0).__enter__()
        assert refused.value.retry_after == 5
        with room.admit("interactive", 1, 1000, measured, 10.0):
            pass
        with room.admit("interactive", 1, 1000, measured):
            pass
        with room.admit("interactive", 1, 1000, after_a_batch(1000, 1.0), 0.1):
            pass  # another model's work does not go before it


def test_requests_that_took_longer_than_expected_raise_the_next_estimate() -> None:
    clock, measured = Clock(), after_a_batch(1000, 1.0)
    room = Admission(max_items=100, max_tokens=100_000, clock=clock)
    with room.admit("interactive", 1, 1000, measured, 9.0) as reservation:
        clock.now += 4.0  # twice what was expected: the batch that runs, and its own tokens
        reservation.release(1000)
    with room.admit("interactive", 1, 3000, measured):
        with pytest.raises(QueueFull), room.admit("interactive", 1, 1000, measured, 9.0):
            pass
        with room.admit("interactive", 1, 1000, measured, 12.0):
            pass


def test_the_error_is_learnt_from_late_requests_but_not_from_cached_or_cancelled_ones() -> None:
    clock, measured = Clock(), after_a_batch(1000, 1.0)
    room = Admission(max_items=100, max_tokens=100_000, clock=clock)
    expected = measured.latest("interactive", 1.0)
    with room.admit("interactive", 1, 1000, measured, 9.0) as reservation:
        reservation.resize(0, 0)
        clock.now += 8.0
    with suppress(TimeoutError), room.admit("interactive", 1, 1000, measured, 9.0):
        clock.now += 8.0
        raise TimeoutError
    assert measured.latest("interactive", 1.0) == expected
    with suppress(TimeoutError), room.admit("interactive", 1, 1000, measured, 9.0):
        clock.now += 9.0
        raise TimeoutError
    assert measured.latest("interactive", 1.0) > expected


def test_seconds_of_work_are_those_of_the_model_that_takes_longest() -> None:
    room, slow = admission(), ThroughputEstimator()
    with (
        room.admit("interactive", 1, 30, slow),
        room.admit("bulk", 1, 20, slow),
        room.admit("bulk", 1, 20, after_a_batch(100, 1.0)),
    ):
        assert room.seconds_of_work == 0.2
        slow.note_batch(admitted_tokens=50, busy_seconds=2.0)
        assert room.seconds_of_work == 2
    assert room.seconds_of_work == 0


def test_work_of_endless_seconds_has_a_retry_after() -> None:
    room, measured = admission(max_tokens=10**9), after_a_batch(1, 1e305)
    with room.admit("interactive", 1, 10**6, measured):
        assert room.seconds_of_work == math.inf
        assert room.emptied_after == room.retry_after("bulk", measured) == 60
