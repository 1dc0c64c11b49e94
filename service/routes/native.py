"""The native dialect: `POST /v1/score`. Raw logits, per-item errors, nothing silently ignored."""

from fastapi import APIRouter, Request, Response

from service.record import record_of, server_timing
from service.routes import dialect
from service.routes.dialect import Dialect, refuse_other_model
from service.routes.json_body import JsonRoute
from service.routes.openai_shape import ERRORS, ErrorBody, Responses, openai_error
from service.routes.score_request import ScoreRequest
from service.routes.score_response import ScoreResponse, to_response
from service.routes.seams import ServiceOf

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
    refuse_other_model(body.model, service)
    ask = body.to_ask()
    scored = await dialect.score(request, service, ask, param="inputs")
    response.headers["Server-Timing"] = server_timing(scored.timings)
    return to_response(record_of(request).request_id, service.model, ask, scored)


DIALECT = Dialect(router, openai_error)
