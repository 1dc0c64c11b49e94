"""The native dialect: `POST /v1/score`. Raw logits, per-item errors, nothing silently ignored."""

from fastapi import APIRouter, Request, Response

from service.routes.native.request import ScoreRequest
from service.routes.native.response import ScoreResponse, to_response
from service.routes.shared import dialect
from service.routes.shared.dependencies import ServiceOf
from service.routes.shared.dialect import Dialect
from service.routes.shared.json_body import JsonRoute
from service.routes.shared.openai_shape import ERRORS, ErrorBody, Responses, openai_error
from service.scoring.ensemble import WeightedResult
from service.telemetry.request_record import record_of, server_timing

router = APIRouter(route_class=JsonRoute, tags=["score"])


_LATE: Responses = {504: {"model": ErrorBody, "description": "`timeout_ms` passed."}}


@router.post("/v1/score", responses=ERRORS | _LATE, summary="Score candidates")
async def score(
    body: ScoreRequest, request: Request, response: Response, service: ServiceOf
) -> ScoreResponse:
    """Score the candidates of each input with the reward model, higher is better.

    One candidate that cannot be scored has an `error` and changes nothing for the others.
    The response's `Server-Timing` says where the time went; `X-Request-Id` is taken or made.
    """
    ask = body.to_ask()
    record, parts = record_of(request), list[WeightedResult]()
    if body.models:
        parts = await dialect.compose(request, service, ask, param="inputs", weights=body.models)
    else:
        await dialect.score(request, service, ask, param="inputs", model=body.model)
    assert record.scored is not None
    response.headers["Server-Timing"] = server_timing(record.scored.timings)
    return to_response(record.request_id, ask, record.scored, parts)


DIALECT = Dialect(router, openai_error)
