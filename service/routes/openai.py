"""OpenAI's embeddings with one dimension, the raw logit.

SGLang serves reward models by this route, so verl calls it in its SGLang mode.
"""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from service.routes.shared.dialect import Dialect
from service.routes.shared.error_shapes import OPENAI_ERRORS, openai_error
from service.routes.shared.routing import JsonRoute, ServiceOf
from service.routes.vllm.responses import VllmList, to_list
from service.routes.vllm.routes import score_items
from service.routes.vllm.shapes import ItemsRequest

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


class Embedding(BaseModel):
    index: int
    object: Literal["embedding"] = "embedding"
    embedding: list[float] | str


@router.post(
    "/v1/embeddings", responses=OPENAI_ERRORS, summary="Scores as embeddings of one dimension"
)
async def embeddings(
    body: ItemsRequest, request: Request, service: ServiceOf
) -> VllmList[Embedding]:
    """`data[i].embedding` holds one number, the raw logit of `input[i]`; or one for each of the
    `criteria` that are asked for.
    """
    result = await score_items(body, request, service)
    vectors = enumerate(body.activated_vectors(result))
    rows = [Embedding(index=index, embedding=body.encoded(scores)) for index, scores in vectors]
    return to_list("embd", request, result, rows)


DIALECT = Dialect(router, openai_error)
