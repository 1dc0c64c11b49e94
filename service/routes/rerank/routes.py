"""Clients of Cohere's and Jina's rerankers: `POST /v1/rerank` and `POST /v2/rerank`."""

from typing import Literal

from fastapi import APIRouter, Request

from service.routes.rerank.shapes import (
    ApiVersion,
    RerankError,
    RerankMeta,
    RerankRequest,
    RerankResponse,
    RerankUsage,
    rank_documents,
    rerank_error,
)
from service.routes.shared import scoring
from service.routes.shared.dialect import Dialect
from service.routes.shared.error_shapes import documented
from service.routes.shared.routing import JsonRoute, ServiceOf
from service.service import Service
from service.telemetry.request_record import record_of

router = APIRouter(route_class=JsonRoute, tags=["rerank"], responses=documented(RerankError))


@router.post("/v2/rerank", response_model_exclude_none=True, summary="Rerank, as Cohere's v2 does")
async def rerank_v2(body: RerankRequest, request: Request, service: ServiceOf) -> RerankResponse:
    """Order documents by the reward they get as answers to the query."""
    with_documents = body.return_documents is True
    return await rerank(body, request, service, "2", with_documents=with_documents)


@router.post("/v1/rerank", response_model_exclude_none=True, summary="Rerank, as Jina does")
async def rerank_v1(body: RerankRequest, request: Request, service: ServiceOf) -> RerankResponse:
    """Order documents by the reward they get as answers to the query; Cohere's v1 as well."""
    with_documents = body.return_documents is not False
    return await rerank(body, request, service, "1", with_documents=with_documents)


async def rerank(
    body: RerankRequest,
    request: Request,
    service: Service,
    version: Literal["1", "2"],
    *,
    with_documents: bool,
) -> RerankResponse:
    """Answer a body of this dialect, on whatever path it came."""
    asked = body.to_scoring_request()
    result = await scoring.score(request, service, asked, param="documents", model=body.model)
    scoring.raw_scores(result)  # the response has no place for the error of one document
    body.require_uncut(result)
    return RerankResponse(
        id=f"rerank-{record_of(request).request_id}",
        model=result.model,
        results=rank_documents(body, result, with_documents=with_documents),
        meta=RerankMeta(api_version=ApiVersion(version=version)),
        usage=RerankUsage(total_tokens=result.tokens, prompt_tokens=result.tokens),
    )


DIALECT = Dialect(router, rerank_error)
