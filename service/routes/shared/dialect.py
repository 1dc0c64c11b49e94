"""A dialect: the routes that one family of clients calls, and the shape its errors have."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import NoReturn

from fastapi import APIRouter, Request
from starlette.routing import Route

from service.auth.account import Account, Charge, Limits
from service.errors import (
    InvalidRequest,
    ItemError,
    ItemErrorCode,
    ItemFailed,
    ItemRefused,
    ServiceError,
)
from service.models.loaded_model import LoadedModel
from service.routes.shared.dependencies import while_connected
from service.scoring.ensemble import WeightedResult, weighted_sum
from service.scoring.scorer import Scorer
from service.scoring.types import ScoringRequest, ScoringResult
from service.service import Service
from service.settings import DialectName
from service.telemetry.request_record import record_of

ErrorBody = Callable[[ServiceError, int], object]
"""Makes the JSON of a response of an error and its HTTP status."""

_CLIENTS_FAULT: frozenset[ItemErrorCode] = frozenset({"empty", "too_long", "unencodable"})

_ANYBODY = Account("", Limits(), time.monotonic)
"""Who needs no key has no limits."""


@dataclass(frozen=True)
class Dialect:
    """`error_body` makes what its clients look for an error's message in."""

    router: APIRouter
    error_body: ErrorBody

    def owns(self, path: str) -> bool:
        routes = (route for route in self.router.routes if isinstance(route, Route))
        return any(route.path_regex.match(path) for route in routes)


def names_by_route(dialects: Mapping[DialectName, Dialect]) -> dict[str, str]:
    """A route's template -> the name of the first dialect that has it."""
    return {
        route.path: name
        for name, dialect in reversed(list(dialects.items()))
        for route in dialect.router.routes
        if isinstance(route, Route)
    }


def error_body_for(dialects: Iterable[Dialect], path: str, default: ErrorBody) -> ErrorBody:
    """That of the first dialect with a route for the path."""
    return next((dialect.error_body for dialect in dialects if dialect.owns(path)), default)


async def score(
    request: Request, service: Service, ask: ScoringRequest, *, param: str, model: str | None = None
) -> ScoringResult:
    """Score what a dialect was asked for, as long as the client is there, and put it on record.

    Args:
        param: the field that holds the items.
        model: the name of one, or `name@version`; None is the default.

    Raises:
        UnknownModel: it is not loaded.
        InvalidRequest: more items than one request may have.
        QuotaExceeded: the minute's tokens of the request's key are used up.
        ClientGone, and what `Scorer.score` raises.
    """
    record = record_of(request)
    record.ask = ask
    refuse_too_many(ask, service, param)
    timely = _in_time(ask, request)
    with service.find(model).used() as scorer, charged(request, scorer, ask=ask) as charge:
        record.scored = await while_connected(request, scorer.score(timely))
        charge.settle(record.scored.computed_tokens)
    service.shadow.maybe_score(ask, record.scored)
    return record.scored


def charged(
    request: Request, *scorers: Scorer, ask: ScoringRequest
) -> AbstractContextManager[Charge]:
    """Charge whoever holds the request's key for what it may cost, until that is known."""
    caller = record_of(request).caller or _ANYBODY
    return caller.charged(sum(scorer.estimate(ask) for scorer in scorers))


async def compose(
    request: Request,
    service: Service,
    ask: ScoringRequest,
    *,
    param: str,
    weights: dict[str, float],
) -> list[WeightedResult]:
    """Score with several models side by side; their sum is on record.

    Raises:
        InvalidRequest: one of them is not calibrated.
        As `score` does.
    """
    record = record_of(request)
    record.ask = ask
    refuse_too_many(ask, service, param)
    timely = _in_time(ask, request)
    models = [_calibrated(service, name) for name in weights]
    if len(set(models)) < len(models):
        raise InvalidRequest("names a version twice", param="models")
    with ExitStack() as held:
        scorers = [held.enter_context(served.used()) for served in models]
        charge = held.enter_context(charged(request, *scorers, ask=ask))
        scored = await while_connected(request, _all(scorer.score(timely) for scorer in scorers))
        parts = [WeightedResult(*pair) for pair in zip(weights.values(), scored, strict=True)]
        record.scored = weighted_sum(parts)
        charge.settle(record.scored.computed_tokens)
    return parts


async def _all(scoring: Iterable[Coroutine[object, object, ScoringResult]]) -> list[ScoringResult]:
    """Side by side; when one fails, or nobody waits any more, none goes on."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in scoring]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _calibrated(service: Service, name: str) -> LoadedModel:
    served = service.find(name)
    if served.model.release.calibration is None:
        raise InvalidRequest(
            f"{served.key} is not calibrated, and raw logits of different models do not add up: "
            "leave it out",
            param="models",
        )
    return served


def _in_time(ask: ScoringRequest, request: Request) -> ScoringRequest:
    """With the sooner of the body's deadline and that of the X-Request-Timeout header, in seconds.

    Raises:
        InvalidRequest: the header is no positive number.
    """
    given = request.headers.get("x-request-timeout")
    if given is None:
        return ask
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidRequest("X-Request-Timeout is a positive number of seconds")
    return replace(ask, timeout=min(seconds, ask.timeout or math.inf))


def refuse_too_many(ask: ScoringRequest, service: Service, param: str) -> None:
    """Raises InvalidRequest if there are more items than one request may have."""
    limit = service.settings.max_candidates
    if ask.item_count > limit:
        raise InvalidRequest(
            f"{param} has {ask.item_count} candidates, this server takes {limit} in one request "
            "(--max-candidates): split the request",
            param=param,
        )


def raw_scores(scored: ScoringResult) -> list[float]:
    """Every item's raw score, for answers that have no place for an item's error.

    Raises:
        ItemRefused, ItemFailed: an item has none; the first one's error.
    """
    for index, item in enumerate(scored.items()):
        if item.error:
            refuse_item(index, item.error)
    return [item.raw for item in scored.items() if item.raw is not None]


def refuse_item(index: int, error: ItemError) -> NoReturn:
    """Raises ItemRefused or ItemFailed, whoever's fault it is."""
    kind = ItemRefused if error.code in _CLIENTS_FAULT else ItemFailed
    raise kind(f"item {index} ({error.code}): {error.message}")


def sigmoid(score: float) -> float:
    """From 0 to 1, precise at both ends."""
    small = math.exp(-abs(score))
    return (1 if score >= 0 else small) / (1 + small)
