"""Who holds a key: what he may use at a time and a minute, and what he uses.

Used on the event loop only, so it needs no lock. Each process counts for itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.auth.bucket import Bucket
from service.errors import LONGEST_RETRY, InvalidRequest, QuotaExceeded, Unavailable


@dataclass(frozen=True, slots=True)
class Limits:
    """None is no limit."""

    concurrency: int | None = None
    tokens_per_minute: int | None = None


class Charge:
    """Tokens that a request was charged for, until it is known what it cost."""

    def __init__(self, bucket: Bucket | None, tokens: int) -> None:
        self._bucket = bucket
        self._tokens = tokens

    def settle(self, tokens: int) -> None:
        """It cost this much."""
        if self._bucket:
            self._bucket.take(tokens - self._tokens)
        self._tokens = tokens


class Account:
    """One account, however many keys its holder has.

    Attributes:
        name: of the key in its file; in logs and metrics.
    """

    def __init__(self, name: str, limits: Limits, clock: Callable[[], float]) -> None:
        self.name = name
        self._limits = Limits()
        self._clock = clock
        self._bucket: Bucket | None = None
        self._under_way = 0
        self.limit(limits)

    def limit(self, limits: Limits) -> None:
        """From now on; what is in use stays counted."""
        per_minute = limits.tokens_per_minute
        if per_minute != self._limits.tokens_per_minute:
            self._bucket = Bucket(per_minute, self._clock) if per_minute else None
        self._limits = limits

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Counts a request while the block runs.

        Raises:
            QuotaExceeded: as many as may be are under way.
        """
        most = self._limits.concurrency
        if most is not None and self._under_way >= most:
            raise QuotaExceeded(
                f"{most} requests with this key are under way, as many as it may have at a time: "
                "wait for their answers",
                retry_after=1,
            )
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    @contextmanager
    def charged(self, estimate: int) -> Iterator[Charge]:
        """Charges for a request while the block runs, which settles what it really cost.

        What is refused before any work costs nothing. What fails later, or is given up by its
        client, costs the estimate: else nobody would wait for an answer who wants more than his.

        Raises:
            QuotaExceeded: the minute's tokens are used up.
        """
        self._refuse_if_used_up()
        charge = Charge(self._bucket, 0)
        charge.settle(estimate)
        try:
            yield charge
        except (Unavailable, InvalidRequest):
            charge.settle(0)
            raise

    def _refuse_if_used_up(self) -> None:
        if self._bucket and (wait := self._bucket.wait):
            raise QuotaExceeded(
                f"this key's {self._bucket.per_minute} tokens a minute are used up: "
                f"there will be some in {wait} seconds",
                retry_after=min(LONGEST_RETRY, wait),
            )
