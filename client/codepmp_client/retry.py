"""When to try again. Pure functions: clock and random numbers are arguments."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 0.25
"""The longest pause before the second try; it doubles with every further one."""

MAX_SECONDS = 10.0

# Enough to reach `MAX_SECONDS`; without a limit the power would overflow.
_MAX_DOUBLINGS = 32


def pause_before_retry(tries: int, retry_after: float, jitter: float) -> float:
    """Seconds to wait: what the server asked for, and exponential backoff with full jitter.

    Args:
        tries: how many there have been.
        retry_after: the least that the server asked for, in seconds.
        jitter: random, in [0, 1), so that clients refused together do not come back together.
    """
    longest = min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** min(tries - 1, _MAX_DOUBLINGS))
    return retry_after + jitter * longest


def retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """Seconds that a `Retry-After` header asks for, in seconds or as a date; 0 without one."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
