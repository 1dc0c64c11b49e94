import pytest

from service.admission import Admission
from service.errors import Draining, QueueFull


def admission(*, max_items: int = 3, max_tokens: int = 100) -> Admission:
    return Admission(max_items=max_items, max_tokens=max_tokens)


@pytest.mark.parametrize(("items", "tokens"), [(3, 1), (1, 100)])
def test_a_full_room_refuses_until_something_leaves(items: int, tokens: int) -> None:
    room = admission()
    with (
        room.admit("interactive", items, tokens),
        pytest.raises(QueueFull),
        room.admit("interactive", 1, 1),
    ):
        pass
    with room.admit("interactive", 1, 1):
        assert (room.items("interactive"), room.tokens("interactive")) == (1, 1)
    assert (room.items("interactive"), room.tokens("interactive")) == (0, 0)


def test_a_request_larger_than_the_room_is_not_locked_out_by_small_ones() -> None:
    room = admission()
    with room.admit("bulk", 1, 10), room.admit("bulk", 1000, 10_000):
        assert room.items("bulk") == 1001


def test_bulk_work_never_refuses_interactive_work() -> None:
    room = admission()
    with room.admit("bulk", 99, 9999), room.admit("interactive", 1, 1):
        assert room.items("interactive") == 1


def test_room_is_given_back_job_by_job() -> None:
    room = admission()
    with room.admit("interactive", 3, 90) as place:
        place.hold(3, 120)
        place.give_back(100)
        assert (room.items("interactive"), room.tokens("interactive")) == (2, 20)
    place.give_back(20)  # a job that ends after its request was given up
    assert (room.items("interactive"), room.tokens("interactive")) == (0, 0)


def test_room_is_given_back_when_a_request_fails() -> None:
    room = admission()
    with pytest.raises(ZeroDivisionError), room.admit("bulk", 3, 100):
        raise ZeroDivisionError
    assert room.items("bulk") == 0


def test_retry_after_is_the_time_to_work_off_what_goes_before() -> None:
    room = admission(max_tokens=10)
    assert room.retry_after("interactive") == 1  # nothing measured yet
    room.note_speed(tokens=100, seconds=2.0)
    with room.admit("interactive", 1, 110), room.admit("bulk", 1, 120):
        assert room.retry_after("interactive") == 3
        assert room.retry_after("bulk") == 5
        room.note_speed(tokens=150, seconds=1.0)  # 50/s and 150/s, the newest at a fifth: 70/s
        assert room.retry_after("interactive") == 2
    with room.admit("interactive", 1, 10**9):
        assert room.retry_after("interactive") == 60


def test_after_stop_nothing_new_is_admitted_and_what_is_there_stays() -> None:
    room = admission()
    with room.admit("bulk", 1, 10):
        room.stop()
        with pytest.raises(Draining), room.admit("interactive", 1, 1):
            pass
        assert room.items("bulk") == 1


def test_what_cannot_be_done_in_time_is_refused_before_it_costs_anything() -> None:
    admission = Admission(max_items=100, max_tokens=100_000)
    admission.note_speed(1000, 1.0)
    with admission.admit("interactive", 1, 5000, 0.1):
        pass  # nothing goes before it, so it may try
    with admission.admit("interactive", 1, 5000):
        with pytest.raises(QueueFull, match="longer than this request may") as refused:
            admission.admit("interactive", 1, 1000, 5.0).__enter__()
        assert refused.value.retry_after == 5
        with admission.admit("interactive", 1, 1000, 10.0):
            pass
        with admission.admit("interactive", 1, 1000):
            pass


def test_seconds_of_work_are_what_waits_over_what_is_computed_in_a_second() -> None:
    room = admission()
    with room.admit("interactive", 1, 30), room.admit("bulk", 1, 20):
        assert (room.speed, room.seconds_of_work) == (0, 0)
        room.note_speed(tokens=50, seconds=2.0)
        assert (room.speed, room.seconds_of_work) == (25, 2)
    assert room.seconds_of_work == 0
