"""`POST /v1/score` where the clients of two dialects call it: the native one's and vLLM's.

It is mounted before the routes that each has there for itself. A body is vLLM's if it has one of
its keys and no `inputs`; every other one is the native dialect's, and so are its faults.
"""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from pydantic import Discriminator, Tag

from service.record import record_of
from service.routes import native, vllm
from service.routes.dialect import Dialect
from service.routes.json_body import JsonRoute
from service.routes.openai_shape import openai_error
from service.routes.score_request import ScoreRequest
from service.routes.score_response import ScoreResponse
from service.routes.seams import ServiceOf
from service.routes.vllm_request import PairsRequest
from service.routes.vllm_response import Listed, Pair

router = APIRouter(route_class=JsonRoute)

_PAIRS = frozenset({"queries", "documents", "text_1", "text_2"})


def _whose(body: object) -> str:
    if not isinstance(body, dict) or "inputs" in body or _PAIRS.isdisjoint(body):
        return "<native>"
    return "<pairs>"


Either = Annotated[
    Annotated[ScoreRequest, Tag("<native>")] | Annotated[PairsRequest, Tag("<pairs>")],
    Discriminator(_whose),
]


@router.post("/v1/score", include_in_schema=False)
async def score_either(
    body: Annotated[Either, Body()], request: Request, response: Response, service: ServiceOf
) -> ScoreResponse | Listed[Pair]:
    record_of(request).dialect = "vllm" if isinstance(body, PairsRequest) else "native"
    if isinstance(body, PairsRequest):
        return await vllm.score_pairs(body, request, response, service)
    return await native.score(body, request, response, service)


DIALECT = Dialect(router, openai_error)
