from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codepmp_client.retry import (
    FIRST_SECONDS,
    MAX_SECONDS,
    pause_before_retry,
    retry_after,
)

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@given(
    tries=st.integers(1, 10_000),
    asked=st.floats(0, 1e6),
    luck=st.floats(0, 1, exclude_max=True),
)
def test_a_pause_is_at_least_what_was_asked_for_and_bounded(
    tries: int, asked: float, luck: float
) -> None:
    pause = pause_before_retry(tries, asked, luck)
    assert asked <= pause <= asked + min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** min(tries, 20))


def test_pauses_double_up_to_a_bound() -> None:
    pauses = [pause_before_retry(tries, 0, 1.0) for tries in range(1, 9)]
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 0 ", 0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Sat, 21 Nov 2026 12:00:30 -0000", 30),
        ("soon", 0),
        ("-3", 0),
        ("", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float) -> None:
    assert retry_after({"retry-after": value}, NOW) == seconds


def test_without_the_header_nothing_is_asked_for() -> None:
    assert retry_after({}, NOW) == 0
