"""Scores a route's request: applies limits, charges the account, and stops if the client leaves."""

import asyncio
import math
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import replace
from typing import NoReturn, TypeVar

from fastapi import Request

from service.auth.account import Account
from service.errors import (
    ClientGone,
    InvalidRequest,
    ItemError,
    ItemErrorCode,
    ItemFailed,
    ItemRefused,
)
from service.models.loaded_model import LoadedModel
from service.scoring.ensemble import WeightedResult, weighted_sum
from service.scoring.types import Item, ScoringRequest, ScoringResult
from service.service import Service
from service.telemetry.request_record import record_of

T = TypeVar("T")

# These item errors are answered 422 where a dialect has no per-item errors, all others 500: RLHF
# clients retry a 5xx, which is of use only if the fault is ours.
_FAULTS_OF_CLIENTS: frozenset[ItemErrorCode] = frozenset({"empty", "too_long", "unencodable"})


async def score(
    request: Request,
    service: Service,
    asked: ScoringRequest,
    *,
    param: str,
    model: str | None = None,
) -> ScoringResult:
    """Score the items of a request with one model, for as long as the client is connected.

    Args:
        param: the field of the body that holds the items.
        model: a name, or `name@version`; None is the default model.

    Raises:
        UnknownModel: the model is not loaded.
        InvalidRequest: the request has more items than it may have.
        QuotaExceeded: the account has used up its tokens of this minute.
        ClientGone: the client disconnected.
        ServiceError: whatever `Scorer.score` raises.
    """
    asked = _accept(request, service, asked, param)
    (result,) = await _score_with([service.find(model)], request, asked)
    record_of(request).result = result
    # After the answer is known: a shadow must never delay or change it.
    service.shadow.maybe_score(asked, result)
    return result


async def score_ensemble(
    request: Request,
    service: Service,
    asked: ScoringRequest,
    *,
    param: str,
    weights: dict[str, float],
) -> ScoringResult:
    """Score with several models side by side; return the weighted sum.

    Raises:
        InvalidRequest: a model is named twice or is not calibrated.
        ServiceError: as in `score`.
    """
    asked = _accept(request, service, asked, param)
    models: list[LoadedModel] = []
    for name in weights:
        model = service.find(name)
        if model.model.release.calibration is None:
            raise InvalidRequest(
                f"{model.key} is not calibrated, and raw logits of different models do not add up: "
                "leave it out",
                param="models",
            )
        models.append(model)
    if len(set(models)) < len(models):
        # A name and its `name@version` are two keys and one model. This comes last: a name that is
        # not served is the 404 that clients look for, whatever else is wrong.
        raise InvalidRequest("names a version twice", param="models")
    results = await _score_with(models, request, asked)
    parts = [WeightedResult(*part) for part in zip(weights.values(), results, strict=True)]
    record_of(request).result = total = weighted_sum(parts)
    return total


async def tokenize(request: Request, model: LoadedModel, item: Item) -> tuple[int, ...]:
    """Return the token ids of an item that would be scored.

    Raises:
        ItemRefused, ItemFailed: the item cannot be encoded.
        ServiceError: as in `score`.
    """
    account: Account = request.state.account
    with model.used() as scorer:
        estimate = scorer.estimate(ScoringRequest(((item,),)))
        with account.charged(estimate) as charge:
            (tokens,) = await while_connected(
                request, scorer.tokenize(item, estimate, charge.spend)
            )
    if isinstance(tokens, ItemError):
        _refuse_item(0, tokens)
    return tokens


async def while_connected(request: Request, *work: Coroutine[object, object, T]) -> list[T]:
    """Await all of `work` side by side; when one part fails, the others are cancelled.

    Raises:
        ClientGone: the client disconnected, and all work was cancelled.
    """

    async def watch() -> None:
        # The body was read before, so the next event is the disconnect.
        while (await request.receive())["type"] != "http.disconnect":
            pass
        raise ClientGone("the client left before its answer was there")

    try:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            tasks = [group.create_task(part) for part in work]
            results = [await task for task in tasks]
            watching.cancel()
    except BaseExceptionGroup as failed:
        # The first failure is the cause; what follows from it is of no use to the client.
        raise failed.exceptions[0] from None
    return results


def _accept(
    request: Request, service: Service, asked: ScoringRequest, param: str
) -> ScoringRequest:
    """Record a request and return it with the sooner of its two deadlines.

    Raises:
        InvalidRequest: it has too many items, or its X-Request-Timeout is not a number of seconds.
    """
    # Recorded first, so that the metrics count the items of a refused request, too.
    record_of(request).asked = asked
    limit = service.settings.max_candidates
    if asked.item_count > limit:
        raise InvalidRequest(
            f"{param} has {asked.item_count} candidates, this server takes {limit} in one request "
            "(--max-candidates): split the request",
            param=param,
        )
    # Most dialects have no field for a deadline, so this header sets one in all of them.
    header = request.headers.get("x-request-timeout")
    if header is None:
        return asked
    try:
        seconds = float(header)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidRequest("X-Request-Timeout must be a positive number of seconds")
    return replace(asked, timeout=min(seconds, asked.timeout or math.inf))


async def _score_with(
    models: list[LoadedModel], request: Request, asked: ScoringRequest
) -> list[ScoringResult]:
    account: Account = request.state.account
    with ExitStack() as stack:
        # While it is in use, a version that is unloaded meanwhile keeps its engine.
        scorers = [stack.enter_context(model.used()) for model in models]
        # One estimate serves both the quota and the admission to the queue.
        estimates = [scorer.estimate(asked) for scorer in scorers]
        charge = stack.enter_context(account.charged(sum(estimates)))
        pairs = zip(scorers, estimates, strict=True)
        work = [scorer.score(asked, estimate, charge.spend) for scorer, estimate in pairs]
        return await while_connected(request, *work)


def raw_scores(result: ScoringResult) -> list[float]:
    """Return every item's raw score, for responses that have no place for an item's error.

    Raises:
        ItemRefused: an item cannot be scored; the error is that of the first such item.
        ItemFailed: an item has no score through a fault of ours, and all others can be scored.
    """
    failed = [(index, item.error) for index, item in enumerate(result.items()) if item.error]
    if failed:
        # A client that retries after a fault of ours would only then learn of its own.
        _refuse_item(*next((each for each in failed if _is_clients_fault(each[1])), failed[0]))
    return [item.raw for item in result.items() if item.raw is not None]


def _is_clients_fault(error: ItemError) -> bool:
    return error.code in _FAULTS_OF_CLIENTS or error.text_at_fault


def _refuse_item(index: int, error: ItemError) -> NoReturn:
    """Turn an item's error into one of the whole request: ItemRefused, or ItemFailed if ours."""
    kind = ItemRefused if _is_clients_fault(error) else ItemFailed
    raise kind(f"item {index} ({error.code}): {error.message}")
