"""An account: what the holder of API keys may use at a time and per minute, and what is in use.

Accounts are used on the event loop only, so they need no lock. Each process counts for itself.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.errors import MAX_RETRY_AFTER, InvalidRequest, QuotaExceeded, Unavailable


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """The limits of an account; None is no limit."""

    concurrency: int | None = None
    tokens_per_minute: int | None = None


class TokenBucket:
    """Lets a request in while its level is above zero, however many tokens the request takes.

    The level may therefore fall below zero: one large request is never locked out for good, and
    the requests after it wait until the debt is refilled.

    Args:
        per_minute: tokens that flow in per minute; the bucket holds no more than that.
        clock: gives seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._level = float(per_minute)
        self._filled_at = clock()

    @property
    def level(self) -> float:
        """Tokens in the bucket now; below zero while it is in debt."""
        now = self._clock()
        refilled = self._level + (now - self._filled_at) * self.per_minute / 60
        self._level, self._filled_at = min(float(self.per_minute), refilled), now
        return self._level

    @property
    def wait(self) -> int:
        """Whole seconds until the level is above zero; 0 if it is."""
        level = self.level
        # A level of exactly zero lets nobody in, so the wait is rounded up past it.
        return 0 if level > 0 else math.floor(-level * 60 / self.per_minute) + 1

    def change_rate(self, per_minute: int) -> None:
        """Let another number of tokens flow in per minute from now on; debts stay."""
        level = self.level
        # A bucket that is full stays full, so a higher quota is of use at once.
        full = level >= self.per_minute
        self.per_minute = per_minute
        self._level = float(per_minute) if full else min(level, float(per_minute))

    def take(self, tokens: int) -> None:
        """Take tokens out; a negative number puts tokens back."""
        self._level = min(float(self.per_minute), self.level - tokens)


class Charge:
    """The charge of a request: an estimate while it runs, in the end the work done for it.

    Attributes:
        spent: tokens of work that was done or is about to be done.
    """

    def __init__(self, bucket: TokenBucket | None, estimate: int) -> None:
        self.spent = 0
        self._bucket = bucket
        self._charged = 0
        self._replace(estimate)

    def spend(self, tokens: int) -> None:
        """Count work for the request; a negative number takes back what was counted too much."""
        self.spent += tokens

    def settle(self, at_least: int = 0) -> None:
        """Charge what was spent, or `at_least` if that is more, in place of the estimate."""
        self._replace(max(at_least, self.spent))

    def _replace(self, tokens: int) -> None:
        if self._bucket:
            self._bucket.take(tokens - self._charged)
        self._charged = tokens


class Account:
    """One account, however many keys its holder has.

    Attributes:
        name: the name of the keys in their file, for logs and metrics.
    """

    def __init__(self, name: str, limits: AccountLimits, clock: Callable[[], float]) -> None:
        self.name = name
        self._limits = AccountLimits()
        self._clock = clock
        self._bucket: TokenBucket | None = None
        self._in_flight = 0
        self.set_limits(limits)

    def set_limits(self, limits: AccountLimits) -> None:
        """Apply new limits from now on; requests in flight stay counted."""
        per_minute = limits.tokens_per_minute
        # The bucket stays, also while there is no limit: no change of the file forgives a debt.
        if per_minute is not None:
            if self._bucket is None:
                self._bucket = TokenBucket(per_minute, self._clock)
            self._bucket.change_rate(per_minute)
        self._limits = limits

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count a request while the block runs.

        Raises:
            QuotaExceeded: the account has as many requests in flight as it may have.
        """
        limit = self._limits.concurrency
        if limit is not None and self._in_flight >= limit:
            raise QuotaExceeded(
                f"{limit} requests with this key are in flight, as many as it may have at a time: "
                "wait for their answers",
                retry_after=1,
            )
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    @contextmanager
    def charged(self, estimate: int) -> Iterator[Charge]:
        """Charge the estimate for the time of the block, which counts what it spends.

        Raises:
            QuotaExceeded: the tokens of this minute are used up.
        """
        bucket = self._bucket if self._limits.tokens_per_minute else None
        if bucket and (wait := bucket.wait):
            raise QuotaExceeded(
                f"this key's {bucket.per_minute} tokens a minute are used up: "
                f"there will be some in {wait} seconds",
                retry_after=min(MAX_RETRY_AFTER, wait),
            )
        charge = Charge(bucket, estimate)
        try:
            yield charge
        except (Unavailable, InvalidRequest):
            # The request was refused. Work was done only if one of several models took it.
            charge.settle()
            raise
        except BaseException:
            # A client that disconnects and a deadline that passes cost the estimate as well, or
            # leaving before the answer would evade the quota.
            charge.settle(at_least=estimate)
            raise
        charge.settle()


UNLIMITED = Account("", AccountLimits(), time.monotonic)
"""The account of every request for which no key is needed."""
