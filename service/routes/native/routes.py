"""The native dialect: `POST /v1/score`. It gives raw logits and an error for each failed item."""

from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import Discriminator, Tag

from service.routes.native.responses import ScoreResponse, to_response
from service.routes.native.shapes import ScoreRequest
from service.routes.shared import scoring
from service.routes.shared.dialect import Dialect
from service.routes.shared.error_shapes import OPENAI_ERRORS, OpenaiError, Responses, openai_error
from service.routes.shared.routing import JsonRoute, ServiceOf
from service.routes.vllm import routes as vllm
from service.routes.vllm.responses import PairScore, VllmList
from service.routes.vllm.shapes import PairsRequest
from service.scoring.types import ScoreType
from service.telemetry.request_record import record_of

router = APIRouter(route_class=JsonRoute, tags=["score"])

# No other dialect has `timeout_ms`, so this is not among the errors that all dialects document.
_LATE: Responses = {504: {"model": OpenaiError, "description": "`timeout_ms` passed."}}


@router.post("/v1/score", responses=OPENAI_ERRORS | _LATE, summary="Score candidates")
async def score(body: ScoreRequest, request: Request, service: ServiceOf) -> ScoreResponse:
    """Score the candidates of each input with the reward model, higher is better.

    One candidate that cannot be scored has an `error` and changes nothing for the others.
    The response's `Server-Timing` says where the time went; `X-Request-Id` is taken or made.
    """
    asked = body.to_scoring_request()
    score_type: ScoreType = "weighted_normalized"
    if body.models:
        result = await scoring.score_ensemble(
            request, service, asked, param="inputs", weights=body.models
        )
    else:
        result = await scoring.score(request, service, asked, param="inputs", model=body.model)
        weighted = any(item.parts for item in result.items())
        score_type = "weighted_raw" if weighted else "raw_logit"
    return to_response(record_of(request).request_id, asked, result, score_type)


DIALECT = Dialect(router, openai_error)

# vLLM's clients call `POST /v1/score`, too. Where both dialects are served, the route below is
# mounted before the one that each has there for itself.
_either = APIRouter(route_class=JsonRoute)

_PAIRS = frozenset(
    {"queries", "documents", "text_1", "text_2", "data_1", "data_2", "items", "label_token_ids"}
)


def _dialect_of(body: object) -> str:
    # A body is vLLM's if it has one of its keys and no `inputs`. Every other one is the native
    # dialect's, and so are the errors in it.
    if not isinstance(body, dict) or "inputs" in body or _PAIRS.isdisjoint(body):
        return "<native>"
    return "<pairs>"


Either = Annotated[
    Annotated[ScoreRequest, Tag("<native>")] | Annotated[PairsRequest, Tag("<pairs>")],
    Discriminator(_dialect_of),
]


@_either.post("/v1/score", include_in_schema=False)
async def score_either(
    body: Annotated[Either, Body()], request: Request, service: ServiceOf
) -> ScoreResponse | VllmList[PairScore]:
    if isinstance(body, PairsRequest):
        record_of(request).dialect = "vllm"
        return await vllm.score_pairs(body, request, service)
    return await score(body, request, service)


EITHER = Dialect(_either, openai_error)
"""The path that the native dialect and vLLM's share, for servers that serve both."""
