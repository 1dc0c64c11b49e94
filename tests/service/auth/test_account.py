import pytest

from service.auth.account import Account, Limits
from service.errors import DeadlineExceeded, QueueFull, QuotaExceeded
from tests.service.auth.test_bucket import Clock


def refusal(caller: Account) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as refused, caller.charged(1):
        pass
    return refused.value


def test_so_many_requests_at_a_time() -> None:
    caller = Account("team", Limits(concurrency=2), Clock())
    with caller.under_way():
        with (
            caller.under_way(),
            pytest.raises(QuotaExceeded, match="2 requests"),
            caller.under_way(),
        ):
            pass
        with caller.under_way():
            pass


def test_a_place_is_given_back_when_a_request_fails() -> None:
    caller = Account("team", Limits(concurrency=1), Clock())
    with pytest.raises(ZeroDivisionError), caller.under_way():
        raise ZeroDivisionError
    with caller.under_way():
        pass


def test_the_estimate_is_charged_at_once_and_the_cost_in_the_end() -> None:
    clock = Clock()
    caller = Account("team", Limits(tokens_per_minute=60), clock)
    with caller.charged(90) as charge:
        assert refusal(caller).retry_after == 31
        charge.settle(59)
    with caller.charged(61):
        pass
    assert refusal(caller).retry_after == 60, "no client waits longer"
    clock.now += 61
    with caller.charged(1):
        pass


def test_what_is_refused_before_any_work_costs_nothing() -> None:
    caller = Account("team", Limits(tokens_per_minute=60), Clock())
    with pytest.raises(QueueFull), caller.charged(90):
        raise QueueFull("full", retry_after=1)
    with caller.charged(1):
        pass


def test_what_is_given_up_costs_the_estimate() -> None:
    caller = Account("team", Limits(tokens_per_minute=60), Clock())
    with pytest.raises(DeadlineExceeded), caller.charged(90):
        raise DeadlineExceeded("late")
    assert refusal(caller).retry_after == 31


def test_new_limits_leave_what_is_in_use_counted() -> None:
    caller = Account("team", Limits(2, 60), Clock())
    with caller.under_way(), caller.charged(60):
        caller.limit(Limits(1, 60))
        assert refusal(caller).retry_after == 1
        with pytest.raises(QuotaExceeded, match="1 requests"), caller.under_way():
            pass
        caller.limit(Limits())
        with caller.under_way(), caller.charged(10**9):
            pass
