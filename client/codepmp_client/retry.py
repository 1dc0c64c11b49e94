"""When to try again. Pure: the clock and the dice are the caller's."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 0.25
"""The longest pause before the second try; it doubles with every further one."""

MOST_SECONDS = 10.0


def pause_before_retry(tries: int, retry_after: float, luck: float) -> float:
    """Seconds.

    Args:
        tries: how many there have been.
        retry_after: the least that the server asked for.
        luck: in [0, 1), so that clients refused together do not come back together.
    """
    longest = min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** min(tries - 1, _DOUBLINGS))
    return retry_after + luck * longest


_DOUBLINGS = 32
"""Enough to reach the most; without an end the power would overflow."""


def retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """Seconds that a `Retry-After` asks for, which names them or a date; 0 without one."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
