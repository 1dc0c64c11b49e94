"""`POST /v1/score` where the clients of two dialects call it: the native one's and vLLM's.

It is mounted before the routes that each has there for itself. A body is vLLM's if it has one of
its keys and no `inputs`; every other one is the native dialect's, and so are its faults.
"""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from pydantic import Discriminator, Tag

from service.routes.native import routes as native
from service.routes.native.request import ScoreRequest
from service.routes.native.response import ScoreResponse
from service.routes.shared.dependencies import ServiceOf
from service.routes.shared.dialect import Dialect
from service.routes.shared.json_body import JsonRoute
from service.routes.shared.openai_shape import openai_error
from service.routes.vllm import routes as vllm
from service.routes.vllm.request import PairsRequest
from service.routes.vllm.response import Listed, Pair
from service.telemetry.request_record import record_of

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
