"""One request's record. Its response headers, log line and metrics are three views of it."""

import time
from collections import Counter
from dataclasses import dataclass, field

from starlette.requests import Request

from service.auth.account import Account
from service.logs import Facts
from service.scoring.types import ScoringRequest, ScoringResult, Timings

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Anything else in a method's place is a user's text."""

NO_DIALECT = "none"
"""Of probes, metrics, documentation, and of paths that are not there."""


@dataclass(slots=True)
class RequestRecord:
    """Filled while the request is answered; complete when its last byte is sent.

    `error` is the code of what the whole request was answered with, `scored` what it was answered
    with otherwise. `route` is a route's template, so that it holds nothing a user chose; `dialect`
    is whose it is, set by a route itself only if it serves two. `caller` is who holds the request's
    key, where keys are needed. `trace_id` is set where traces are sent. `started` is a time on the
    monotonic clock.
    """

    request_id: str
    method: str
    route: str = "unmatched"
    dialect: str = NO_DIALECT
    status: int = 0
    seconds: float = 0.0
    body_bytes: int = 0
    error: str | None = None
    caller: Account | None = None
    ask: ScoringRequest | None = None
    scored: ScoringResult | None = None
    trace_id: str | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def known_method(self) -> str:
        return self.method if self.method in _METHODS else "other"

    @property
    def outcome(self) -> str:
        return self.error or "ok"

    def item_outcomes(self) -> Counter[str]:
        """Candidates by `ok` or error code; those of a request that failed share its code."""
        if self.scored:
            errors = self.scored.errors()
            return errors + Counter(ok=sum(1 for _ in self.scored.items()) - errors.total())
        return Counter({self.outcome: self.ask.item_count}) if self.ask else Counter()

    def facts(self) -> Facts:
        """For the log."""
        facts: Facts = {
            "request_id": self.request_id,
            "method": self.known_method,
            "route": self.route,
            "dialect": self.dialect,
            "status": self.status,
            "outcome": self.outcome,
            "ms": _ms(self.seconds),
            "body_bytes": self.body_bytes,
        }
        if self.trace_id:
            facts["trace_id"] = self.trace_id
        if self.caller:
            facts["key"] = self.caller.name
        if self.ask:
            facts |= {"priority": self.ask.priority, "inputs": len(self.ask.inputs)}
        facts |= {f"items_{outcome}": n for outcome, n in sorted(self.item_outcomes().items())}
        if self.scored:
            facts |= {"tokens": self.scored.tokens, "computed_tokens": self.scored.computed_tokens}
            facts |= {f"{step}_ms": ms for step, ms in _steps(self.scored.timings).items()}
        return facts


def record_of(request: Request) -> RequestRecord:
    """The record that `service.edge` opened for this request."""
    record = request.state.record
    assert isinstance(record, RequestRecord)
    return record


def server_timing(timings: Timings) -> str:
    """Value of the standard `Server-Timing` header, in milliseconds."""
    return ", ".join(f"{step};dur={ms}" for step, ms in _steps(timings).items())


def _steps(timings: Timings) -> dict[str, float]:
    return {
        "admit": _ms(timings.admit),
        "encode": _ms(timings.encode),
        "queue": _ms(timings.queue),
        "infer": _ms(timings.infer),
        "total": _ms(timings.total),
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
