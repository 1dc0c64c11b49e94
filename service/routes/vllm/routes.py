"""vLLM's dialect, as its server speaks it for pooling models. verl's trainers speak it, too.

Scores are raw logits unless the client asks for an activation. Texts of `input` are taken as
rendered; messages and pairs are rendered by the chat template, so their special tokens are text.
"""

from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from service.errors import NotReady
from service.routes.shared import dialect
from service.routes.shared.dependencies import ServiceOf, while_connected
from service.routes.shared.dialect import Dialect, charged, raw_scores, refuse_item, sigmoid
from service.routes.shared.json_body import JsonRoute
from service.routes.vllm.request import ItemsRequest, PairsRequest, TokenizeRequest
from service.routes.vllm.response import (
    ERRORS,
    Classified,
    Listed,
    Pair,
    Pooled,
    listed,
    vector,
    vllm_error,
)
from service.scoring.types import ScoringRequest, ScoringResult
from service.telemetry.request_record import server_timing

router = APIRouter(route_class=JsonRoute, tags=["vLLM"])


@router.post("/classify", responses=ERRORS, summary="Scores as vLLM's classes")
async def classify(
    body: ItemsRequest, request: Request, response: Response, service: ServiceOf
) -> Listed[Classified]:
    """`data[i].probs` holds one number, the raw logit unless `use_activation` is true."""
    scored = await score_items(body, request, response, service)
    rows = [
        Classified(index=index, probs=[score])
        for index, score in enumerate(shown(scored, body.squashes))
    ]
    return listed("classify", request, scored, rows)


@router.post("/pooling", responses=ERRORS, summary="Scores as vLLM's pooled outputs")
async def pooling(
    body: ItemsRequest, request: Request, response: Response, service: ServiceOf
) -> Listed[Pooled]:
    """As `/classify`; `encoding_format` base64 gives the bytes of a little-endian float32."""
    scored = await score_items(body, request, response, service)
    rows = [
        Pooled(index=index, data=vector(body, score))
        for index, score in enumerate(shown(scored, body.squashes))
    ]
    return listed("pool", request, scored, rows)


@router.post("/v1/score", include_in_schema=False)
@router.post("/score", responses=ERRORS, summary="Scores of documents for queries, as vLLM's")
async def score_pairs(
    body: PairsRequest, request: Request, response: Response, service: ServiceOf
) -> Listed[Pair]:
    """A query is the user's message, a document the assistant's answer. `/v1/score` is the same."""
    ask = body.to_ask()
    scored = await dialect.score(request, service, ask, param="documents", model=body.model)
    response.headers["Server-Timing"] = server_timing(scored.timings)
    rows = [
        Pair(index=index, score=score) for index, score in enumerate(shown(scored, body.squashes))
    ]
    return listed("score", request, scored, rows)


class Tokens(BaseModel):
    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: None = None


@router.post("/tokenize", responses=ERRORS, summary="Token ids that would be scored")
async def tokenize(body: TokenizeRequest, request: Request, service: ServiceOf) -> Tokens:
    served, item = service.find(body.model), body.to_item()
    with (
        served.used() as scorer,
        charged(request, scorer, ask=ScoringRequest(((item,),))),
    ):
        encoded = await while_connected(request, scorer.tokenize(item))
    if not isinstance(encoded, tuple):
        refuse_item(0, encoded)
    limit = served.model.engine.facts.max_tokens
    return Tokens(count=len(encoded), max_model_len=limit, tokens=list(encoded))


class Load(BaseModel):
    server_load: int


@router.get("/load", summary="Requests that are not answered yet")
async def load(service: ServiceOf) -> Load:
    return Load(server_load=service.admission.requests)


class Version(BaseModel):
    version: str


@router.get("/version", summary="This software's version")
async def software_version() -> Version:
    return Version(version=_version())


@router.post("/ping", include_in_schema=False)
@router.get("/ping", include_in_schema=False)
@router.get(
    "/health",
    summary="200 when a request would be scored now",
    response_class=Response,
    responses={503: ERRORS[503]},
)
async def health(service: ServiceOf) -> Response:
    if reason := service.unready:
        raise NotReady(reason, retry_after=1)
    return Response()


async def score_items(
    body: ItemsRequest, request: Request, response: Response, service: ServiceOf
) -> ScoringResult:
    ask = body.to_ask(service.find(body.model).model.engine.facts.max_tokens)
    scored = await dialect.score(request, service, ask, param="input", model=body.model)
    response.headers["Server-Timing"] = server_timing(scored.timings)
    return scored


def shown(scored: ScoringResult, squashes: bool) -> list[float]:
    scores = raw_scores(scored)
    return [sigmoid(score) for score in scores] if squashes else scores


def _version() -> str:
    try:
        return version("codepmp")
    except PackageNotFoundError:  # it runs from a folder that was copied
        return "unknown"


DIALECT = Dialect(router, vllm_error)
