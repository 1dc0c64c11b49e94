"""The record of one request. Its response headers, log line, metrics and trace are views of it."""

import time
from collections import Counter
from dataclasses import dataclass, field

from starlette.requests import Request

from service.logs import Facts
from service.scoring.types import ScoringRequest, ScoringResult

# Anything else in the place of a method is a text that a user sent.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

NO_DIALECT = "none"
"""The dialect of probes, metrics, documentation, and paths that do not exist."""


@dataclass(slots=True)
class RequestRecord:
    """The facts about one request, complete when the last byte of its response is sent.

    The layers that handle the request only write to it: none reads what another one wrote.

    Attributes:
        route: the template of the route, so that it holds nothing that a user chose.
        dialect: the dialect that the route belongs to. The middleware looks it up by the route,
            except for a path that two dialects share, whose route sets it.
        seconds: from the request's head to the end of its response.
        error: code of the error that the whole request was answered with.
        key: name of the request's API key; empty where no key is needed.
        asked: the items to score; None if the request never got that far.
        result: the scores; None if the whole request failed.
        trace_id: set where traces are sent.
        started: a time on the monotonic clock.
    """

    request_id: str
    method: str
    route: str = "unmatched"
    dialect: str = NO_DIALECT
    status: int = 0
    seconds: float = 0.0
    body_bytes: int = 0
    error: str | None = None
    key: str = ""
    asked: ScoringRequest | None = None
    result: ScoringResult | None = None
    trace_id: str | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def known_method(self) -> str:
        """The method, or `other` for one that a user made up."""
        return self.method if self.method in _METHODS else "other"

    @property
    def outcome(self) -> str:
        return self.error or "ok"

    def item_outcomes(self) -> Counter[str]:
        """Count the items by `ok` or error code; those of a failed request share its code."""
        if self.result:
            items = self.result.items()
            return Counter(item.error.code if item.error else "ok" for item in items)
        return Counter({self.outcome: self.asked.item_count}) if self.asked else Counter()

    def phases(self) -> dict[str, float]:
        """The milliseconds of each phase of scoring; empty where nothing was scored."""
        if self.result is None:
            return {}
        timings = self.result.timings
        seconds = {
            "admit": timings.admit,
            "encode": timings.encode,
            "queue": timings.queue,
            "infer": timings.infer,
            "total": timings.total,
        }
        return {phase: round(1000 * value, 3) for phase, value in seconds.items()}

    def server_timing(self) -> str:
        """Return the value of the standard `Server-Timing` header."""
        return ", ".join(f"{phase};dur={ms}" for phase, ms in self.phases().items())

    def facts(self) -> Facts:
        """Return the fields of the log line."""
        facts: Facts = {
            "request_id": self.request_id,
            "method": self.known_method,
            "route": self.route,
            "dialect": self.dialect,
            "status": self.status,
            "outcome": self.outcome,
            "ms": round(1000 * self.seconds, 3),
            "body_bytes": self.body_bytes,
        }
        if self.trace_id:
            facts["trace_id"] = self.trace_id
        if self.key:
            facts["key"] = self.key
        if self.asked:
            facts |= {"priority": self.asked.priority, "inputs": len(self.asked.inputs)}
        # Sorted, so that lines of equal outcomes have their fields in the same order.
        facts |= {f"items_{outcome}": n for outcome, n in sorted(self.item_outcomes().items())}
        if self.result:
            facts |= {"tokens": self.result.tokens, "computed_tokens": self.result.computed_tokens}
            facts |= {f"{phase}_ms": ms for phase, ms in self.phases().items()}
        return facts


def record_of(request: Request) -> RequestRecord:
    """Return the record that the middleware opened for this request."""
    record = request.state.record
    assert isinstance(record, RequestRecord)
    return record
