"""Bulk batches are short while interactive work comes, and full while it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scheduling.bulk_limit import BulkThrottle

SPEED = 10_000.0
"""Tokens per second of a simulated engine."""


def settle(throttle: BulkThrottle, *interactive_seconds: float) -> int:
    for _ in range(60):
        throttle.interactive_came(0.0)
        for seconds in interactive_seconds:
            throttle.interactive_ran(seconds)
        tokens = throttle.max_tokens
        throttle.bulk_ran(tokens, tokens / SPEED)
    return throttle.max_tokens


def test_the_limit_is_active_for_a_while_after_interactive_work_came() -> None:
    throttle = BulkThrottle(8192)
    assert not throttle.active(0.0)
    throttle.interactive_came(0.0)
    assert throttle.active(1.0)
    assert throttle.max_tokens == 256
    assert not throttle.active(60.0)


@pytest.mark.parametrize(("seconds", "tokens"), [(0.1, 1000), (0.001, 256), (10.0, 8192)])
def test_bulk_takes_about_as_long_as_interactive_work_does(seconds: float, tokens: int) -> None:
    assert settle(BulkThrottle(8192), seconds) == pytest.approx(tokens, rel=0.25)


def test_interactive_batches_that_were_disturbed_hardly_change_the_limit() -> None:
    assert settle(BulkThrottle(8192), 0.1, 1.0) < 2000


def test_a_long_text_that_had_to_run_alone_does_not_change_the_limit() -> None:
    throttle = BulkThrottle(8192)
    throttle.interactive_came(0.0)
    throttle.interactive_ran(0.1)
    before = throttle.max_tokens
    throttle.bulk_ran(8000, 8000 / SPEED)
    assert throttle.max_tokens == before


@given(
    st.integers(1, 10_000),
    st.lists(st.tuples(st.booleans(), st.integers(0, 20_000), st.floats(0, 100))),
)
def test_the_limit_stays_within_bounds(
    batch_tokens: int, ran: list[tuple[bool, int, float]]
) -> None:
    throttle = BulkThrottle(batch_tokens)
    for interactive, tokens, seconds in ran:
        throttle.interactive_came(0.0)
        if interactive:
            throttle.interactive_ran(seconds)
        else:
            throttle.bulk_ran(tokens, seconds)
        assert min(256, batch_tokens) <= throttle.max_tokens <= batch_tokens
