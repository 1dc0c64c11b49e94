"""OpenAI's embeddings, of one dimension: the raw logit. So SGLang serves reward models, too."""

from fastapi import APIRouter, Request, Response

from service.routes.shared.dependencies import ServiceOf
from service.routes.shared.dialect import Dialect
from service.routes.shared.json_body import JsonRoute
from service.routes.shared.openai_shape import ERRORS, openai_error
from service.routes.vllm import routes as vllm
from service.routes.vllm.request import ItemsRequest
from service.routes.vllm.response import Embedded, Listed, listed, vector

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


@router.post("/v1/embeddings", responses=ERRORS, summary="Scores as embeddings of one dimension")
async def embeddings(
    body: ItemsRequest, request: Request, response: Response, service: ServiceOf
) -> Listed[Embedded]:
    """`data[i].embedding` holds one number, the raw logit of `input[i]`."""
    scored = await vllm.score_items(body, request, response, service)
    rows = [
        Embedded(index=index, embedding=vector(body, score))
        for index, score in enumerate(vllm.shown(scored, body.squashes))
    ]
    return listed("embd", request, scored, rows)


DIALECT = Dialect(router, openai_error)
