"""The limits of an account, with a clock that the test moves."""

import asyncio

import pytest

from service.auth.account import Account, AccountLimits, TokenBucket
from service.errors import DeadlineExceeded, QueueFull, QuotaExceeded


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def refusal(account: Account) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as refused, account.charged(1):
        pass
    return refused.value


def fail(account: Account, spent: int, end: BaseException) -> None:
    with account.charged(90) as charge:
        charge.spend(spent)
        raise end


def test_a_bucket_is_full_at_first_and_fills_up_to_one_minute_of_tokens() -> None:
    clock = Clock()
    bucket = TokenBucket(60, clock)
    assert bucket.level == 60
    bucket.take(30)
    clock.now += 10
    assert bucket.level == 40
    clock.now += 3600
    assert bucket.level == 60


def test_a_bucket_saves_nothing_up_while_nobody_looks() -> None:
    clock = Clock()
    bucket = TokenBucket(60, clock)
    clock.now += 3600
    bucket.take(30)
    assert bucket.level == 30


def test_a_bucket_may_be_in_debt_and_says_until_when() -> None:
    clock = Clock()
    bucket = TokenBucket(60, clock)
    assert bucket.wait == 0
    bucket.take(150)
    assert bucket.wait == 91
    clock.now += 90
    assert bucket.wait == 1, "at zero nobody is let in yet"
    clock.now += 1
    assert bucket.wait == 0


def test_tokens_are_put_back_into_a_bucket() -> None:
    bucket = TokenBucket(60, Clock())
    bucket.take(50)
    bucket.take(-20)
    assert bucket.level == 30


def test_requests_in_flight_are_limited() -> None:
    account = Account("team", AccountLimits(concurrency=2), Clock())
    with account.in_flight():
        with (
            account.in_flight(),
            pytest.raises(QuotaExceeded, match="2 requests"),
            account.in_flight(),
        ):
            pass
        with account.in_flight():
            pass


def test_a_failed_request_is_in_flight_no_more() -> None:
    account = Account("team", AccountLimits(concurrency=1), Clock())
    with pytest.raises(ZeroDivisionError), account.in_flight():
        raise ZeroDivisionError
    with account.in_flight():
        pass


def test_the_estimate_is_charged_at_once_and_the_cost_in_the_end() -> None:
    clock = Clock()
    account = Account("team", AccountLimits(tokens_per_minute=60), clock)
    with account.charged(90) as charge:
        assert refusal(account).retry_after == 31
        charge.spend(60)
        charge.spend(-1)
    with account.charged(0) as charge:
        charge.spend(61)
    assert refusal(account).retry_after == 60, "no client waits longer"
    clock.now += 61
    with account.charged(1):
        pass


def test_a_request_refused_before_any_work_costs_nothing() -> None:
    account = Account("team", AccountLimits(tokens_per_minute=60), Clock())
    with pytest.raises(QueueFull), account.charged(90):
        raise QueueFull("full", retry_after=1)
    with account.charged(1):
        pass


def test_a_request_refused_by_one_of_its_models_costs_what_the_others_did() -> None:
    account = Account("team", AccountLimits(tokens_per_minute=60), Clock())
    with pytest.raises(QueueFull):
        fail(account, 70, QueueFull("full", retry_after=1))
    assert refusal(account).retry_after == 11


@pytest.mark.parametrize(("spent", "wait"), [(10, 31), (150, 91)])
@pytest.mark.parametrize("end", [DeadlineExceeded("late"), asyncio.CancelledError()])
def test_a_request_that_is_given_up_costs_its_estimate_or_what_it_spent(
    spent: int, wait: int, end: BaseException
) -> None:
    account = Account("team", AccountLimits(tokens_per_minute=60), Clock())
    with pytest.raises(type(end)):
        fail(account, spent, end)
    with pytest.raises(QuotaExceeded, match=f"in {wait} seconds"), account.charged(1):
        pass


@pytest.mark.parametrize("per_minute", [30, 120, None])
def test_no_change_of_the_quota_forgives_a_debt(per_minute: int | None) -> None:
    account = Account("team", AccountLimits(tokens_per_minute=60), Clock())
    with account.charged(0) as charge:
        charge.spend(160)
    account.set_limits(AccountLimits(tokens_per_minute=per_minute))
    if per_minute is None:
        with account.charged(10):
            pass
        account.set_limits(AccountLimits(tokens_per_minute=60))
    wait = 1 + 100 * 60 // (per_minute or 60)
    with pytest.raises(QuotaExceeded, match=f"in {wait} seconds"), account.charged(1):
        pass


def test_what_runs_while_the_quota_changes_is_charged() -> None:
    account = Account("team", AccountLimits(tokens_per_minute=60), Clock())
    with account.charged(10) as charge:
        account.set_limits(AccountLimits(tokens_per_minute=120))
        charge.spend(130)
    assert refusal(account).retry_after == 36


def test_a_full_bucket_is_full_under_another_quota() -> None:
    clock = Clock()
    bucket = TokenBucket(60, clock)
    bucket.change_rate(600)
    assert bucket.level == 600
    bucket.take(500)
    bucket.change_rate(60)
    assert bucket.level == 60


def test_new_limits_keep_what_is_in_use_counted() -> None:
    account = Account("team", AccountLimits(2, 60), Clock())
    with account.in_flight(), account.charged(60) as charge:
        charge.spend(60)
        account.set_limits(AccountLimits(1, 60))
        assert refusal(account).retry_after == 1
        with pytest.raises(QuotaExceeded, match="1 requests"), account.in_flight():
            pass
        account.set_limits(AccountLimits())
        with account.in_flight(), account.charged(10**9):
            pass
