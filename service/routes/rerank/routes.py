"""Clients of Cohere's and Jina's rerankers: `POST /v1/rerank` and `POST /v2/rerank`."""

from typing import Literal

from fastapi import APIRouter, Request, Response

from service.routes.rerank.shapes import (
    ApiVersion,
    Meta,
    RerankAnswer,
    RerankBody,
    RerankError,
    Usage,
    rerank_error,
    results_of,
)
from service.routes.shared import dialect
from service.routes.shared.dependencies import ServiceOf
from service.routes.shared.dialect import Dialect, raw_scores
from service.routes.shared.json_body import JsonRoute
from service.routes.shared.openai_shape import documented
from service.service import Service
from service.telemetry.request_record import record_of, server_timing

router = APIRouter(route_class=JsonRoute, tags=["rerank"], responses=documented(RerankError))


@router.post("/v2/rerank", response_model_exclude_none=True, summary="Rerank, as Cohere's v2 does")
async def rerank_v2(
    body: RerankBody, request: Request, response: Response, service: ServiceOf
) -> RerankAnswer:
    """Order documents by the reward they get as answers to the query."""
    with_documents = body.return_documents is True
    return await rerank(body, request, response, service, "2", with_documents=with_documents)


@router.post("/v1/rerank", response_model_exclude_none=True, summary="Rerank, as Jina does")
async def rerank_v1(
    body: RerankBody, request: Request, response: Response, service: ServiceOf
) -> RerankAnswer:
    """Order documents by the reward they get as answers to the query; Cohere's v1 as well."""
    with_documents = body.return_documents is not False
    return await rerank(body, request, response, service, "1", with_documents=with_documents)


async def rerank(
    body: RerankBody,
    request: Request,
    response: Response,
    service: Service,
    version: Literal["1", "2"],
    *,
    with_documents: bool,
) -> RerankAnswer:
    ask = body.to_ask()
    scored = await dialect.score(request, service, ask, param="documents", model=body.model)
    raw_scores(scored)  # there is no place for the error of one document
    response.headers["Server-Timing"] = server_timing(scored.timings)
    return RerankAnswer(
        id=f"rerank-{record_of(request).request_id}",
        model=scored.model,
        results=results_of(body, scored, with_documents=with_documents),
        meta=Meta(api_version=ApiVersion(version=version)),
        usage=Usage(total_tokens=scored.tokens, prompt_tokens=scored.tokens),
    )


DIALECT = Dialect(router, rerank_error)
