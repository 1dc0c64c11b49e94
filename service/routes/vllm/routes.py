"""vLLM's dialect, as its server speaks it for pooling models. verl's trainers speak it, too.

Scores are raw logits unless the client asks for an activation. Texts of `input` are taken as
rendered; messages and pairs are rendered by the chat template, so their special tokens are text.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from pydantic import Discriminator, Tag

from service.errors import NotReady
from service.routes.shared import scoring
from service.routes.shared.dialect import Dialect
from service.routes.shared.routing import JsonRoute, ServiceOf, probe
from service.routes.vllm.responses import (
    VLLM_ERRORS,
    Classification,
    PairScore,
    PooledOutput,
    ServerLoad,
    SoftwareVersion,
    TokenizeResponse,
    VllmList,
    to_list,
    vllm_error,
)
from service.routes.vllm.sglang import SglangRequest, SglangScore, classify_texts
from service.routes.vllm.shapes import ItemsRequest, PairsRequest, TokenizeRequest
from service.scoring.types import ScoringResult
from service.service import Service

router = APIRouter(route_class=JsonRoute, tags=["vLLM"])


async def score_items(body: ItemsRequest, request: Request, service: Service) -> ScoringResult:
    """Score the items of a body; OpenAI's dialect has the same ones."""
    asked = body.to_scoring_request(service.find(body.model).model.engine.facts.max_tokens)
    return await scoring.score(request, service, asked, param="input", model=body.model)


def _classify_kind(body: object) -> str:
    """Tell SGLang's bodies from vLLM's, which have the same path."""
    keys = set(body) if isinstance(body, dict) else set()
    return (
        "<text>" if keys & {"text", "input_ids"} and not keys & {"input", "messages"} else "<input>"
    )


AnyClassifyRequest = Annotated[
    Annotated[SglangRequest, Tag("<text>")] | Annotated[ItemsRequest, Tag("<input>")],
    Discriminator(_classify_kind),
]


@router.post("/classify", responses=VLLM_ERRORS, summary="Scores as vLLM's classes")
async def classify(
    body: Annotated[AnyClassifyRequest, Body()], request: Request, service: ServiceOf
) -> VllmList[Classification] | SglangScore | list[SglangScore]:
    """`data[i].probs` holds one number, the raw logit unless `use_activation` is true; or one for
    each of the `criteria` that are asked for.

    SGLang's bodies have `text`; the answer to them is a list with an `embedding` of one number.
    """
    if isinstance(body, SglangRequest):
        return await classify_texts(body, request, service)
    result = await score_items(body, request, service)
    names = [*result.items()[0].parts] if body.criteria else ["LABEL_0"]
    rows = [
        Classification(
            index=index,
            label=names[scores.index(max(scores))],
            probs=scores,
            num_classes=len(scores),
        )
        for index, scores in enumerate(body.activated_vectors(result))
    ]
    return to_list("classify", request, result, rows)


@router.post("/pooling", responses=VLLM_ERRORS, summary="Scores as vLLM's pooled outputs")
async def pooling(
    body: ItemsRequest, request: Request, service: ServiceOf
) -> VllmList[PooledOutput]:
    """Score like `/classify`; base64 encodes the bytes of a little-endian float32."""
    result = await score_items(body, request, service)
    vectors = enumerate(body.activated_vectors(result))
    rows = [PooledOutput(index=index, data=body.encoded(scores)) for index, scores in vectors]
    return to_list("pool", request, result, rows)


# Where the native dialect is served as well, `EITHER` in `native.routes` takes this path.
@router.post("/v1/score", include_in_schema=False)
@router.post("/score", responses=VLLM_ERRORS, summary="Scores of documents for queries, as vLLM's")
async def score_pairs(
    body: PairsRequest, request: Request, service: ServiceOf
) -> VllmList[PairScore]:
    """A query is the user's message, a document the assistant's answer. `/v1/score` is the same."""
    asked = body.to_scoring_request()
    result = await scoring.score(request, service, asked, param="documents", model=body.model)
    body.require_uncut(result)
    scores = enumerate(body.activated(result))
    rows = [PairScore(index=index, score=score) for index, score in scores]
    return to_list("score", request, result, rows)


@router.post("/tokenize", responses=VLLM_ERRORS, summary="Token ids that would be scored")
async def tokenize(body: TokenizeRequest, request: Request, service: ServiceOf) -> TokenizeResponse:
    model = service.find(body.model)
    tokens = await scoring.tokenize(request, model, body.to_item())
    limit = model.model.engine.facts.max_tokens
    return TokenizeResponse(count=len(tokens), max_model_len=limit, tokens=list(tokens))


@router.get("/load", summary="Requests that are not answered yet")
@probe
async def load(service: ServiceOf) -> ServerLoad:
    return ServerLoad(server_load=service.admission.requests)


@router.get("/version", summary="This software's version")
async def software_version() -> SoftwareVersion:
    try:
        return SoftwareVersion(version=version("codepmp"))
    except PackageNotFoundError:  # the service runs from a folder that was copied
        return SoftwareVersion(version="unknown")


@router.post("/ping", include_in_schema=False)
@router.get("/ping", include_in_schema=False)
@router.get(
    "/health",
    summary="200 when a request would be scored now",
    response_class=Response,
    responses={503: VLLM_ERRORS[503]},
)
@probe
async def health(service: ServiceOf) -> Response:
    if reason := service.unready:
        raise NotReady(reason, retry_after=1)
    return Response()


DIALECT = Dialect(router, vllm_error)
