"""A dialect: the routes that one family of clients calls, and the shape its errors have."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.routing import Route

from service.ask import Ask, Scored
from service.caller import Caller, Limits
from service.errors import (
    InvalidRequest,
    ItemErrorCode,
    ItemFailed,
    ItemRefused,
    ServiceError,
    UnknownModel,
)
from service.lifecycle import Service
from service.record import record_of
from service.routes.seams import while_connected

ErrorBody = Callable[[ServiceError, int], object]
"""Makes the JSON of a response of an error and its HTTP status."""

_CLIENTS_FAULT: frozenset[ItemErrorCode] = frozenset({"empty", "too_long", "unencodable"})

_ANYBODY = Caller("", Limits(), time.monotonic)
"""Who needs no key has no limits."""


@dataclass(frozen=True)
class Dialect:
    """`error_body` makes what its clients look for an error's message in."""

    router: APIRouter
    error_body: ErrorBody

    def owns(self, path: str) -> bool:
        routes = (route for route in self.router.routes if isinstance(route, Route))
        return any(route.path_regex.match(path) for route in routes)


def error_body_for(dialects: Iterable[Dialect], path: str, default: ErrorBody) -> ErrorBody:
    """That of the first dialect with a route for the path."""
    return next((dialect.error_body for dialect in dialects if dialect.owns(path)), default)


async def score(request: Request, service: Service, ask: Ask, *, param: str) -> Scored:
    """Score what a dialect was asked for, as long as the client is there, and put it on record.

    Args:
        param: the field that holds the items.

    Raises:
        InvalidRequest: more items than one request may have.
        QuotaExceeded: the minute's tokens of the request's key are used up.
        ClientGone, and what `Scorer.score` raises.
    """
    record = record_of(request)
    record.ask = ask
    limit = service.settings.max_candidates
    if ask.items > limit:
        raise InvalidRequest(
            f"{param} has {ask.items} candidates, this server takes {limit} in one request "
            "(--max-candidates): split the request",
            param=param,
        )
    scorer = service.scorer
    with (record.caller or _ANYBODY).charged(scorer.estimate(ask)) as charge:
        record.scored = await while_connected(request, scorer.score(ask))
        charge.settle(record.scored.computed_tokens)
    return record.scored


def refuse_other_model(named: str | None, service: Service) -> None:
    """Raises UnknownModel if a request names a model that is not served."""
    if named not in (None, service.model.name):
        raise UnknownModel(
            f"the model served here is {service.model.name!r}: name it, or none", param="model"
        )


def raw_scores(scored: Scored) -> list[float]:
    """Every item's raw score, for answers that have no place for an item's error.

    Raises:
        ItemRefused, ItemFailed: an item has none; the first one's error.
    """
    for index, item in enumerate(scored.items()):
        if item.error:
            kind = ItemRefused if item.error.code in _CLIENTS_FAULT else ItemFailed
            raise kind(f"item {index} ({item.error.code}): {item.error.message}")
    return [item.raw for item in scored.items() if item.raw is not None]
