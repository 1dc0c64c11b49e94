"""When to try again. Pure functions: clock and random numbers are arguments."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 0.25
"""Upper bound of the random pause before the second try; it doubles with every further try."""

MAX_SECONDS = 10.0
"""Upper bound of every random pause."""

# Enough to reach `MAX_SECONDS`; without a limit the power would overflow.
_MAX_DOUBLINGS = 32


def pause_before_retry(tries: int, retry_after: float, jitter: float) -> float:
    """Return the seconds to wait: the server's `Retry-After`, then backoff with full jitter.

    Args:
        tries: the number of tries so far.
        retry_after: the seconds that the server asked for, which is a minimum.
        jitter: random, in [0, 1), so that clients refused together do not come back together.
    """
    # The pause is added to what the server asked for: a maximum of both would bring all clients
    # back in the same moment.
    longest = min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** min(tries - 1, _MAX_DOUBLINGS))
    return retry_after + jitter * longest


def retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """Return the seconds that a `Retry-After` header asks for; 0 without one."""
    # The header is either a number of seconds or a date.
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
