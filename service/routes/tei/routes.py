"""Clients of text-embeddings-inference (TEI): `POST /rerank` and `POST /predict`.

vLLM and some of Jina's clients call `/rerank`, too, with `documents` where TEI has `texts`.
"""

from fastapi import APIRouter, Request

from service.routes.rerank.routes import rerank as rerank_documents
from service.routes.rerank.shapes import RerankRequest, RerankResponse
from service.routes.shared import scoring
from service.routes.shared.dialect import Dialect
from service.routes.shared.error_shapes import documented
from service.routes.shared.routing import JsonRoute, ServiceOf
from service.routes.tei.shapes import (
    AnyRerankRequest,
    Prediction,
    PredictRequest,
    RankedText,
    TeiError,
    predictions,
    rank_texts,
    tei_error,
)

router = APIRouter(route_class=JsonRoute, tags=["rerank"], responses=documented(TeiError))


@router.post("/rerank", response_model_exclude_none=True, summary="Rerank, as TEI or vLLM does")
async def rerank(
    body: AnyRerankRequest, request: Request, service: ServiceOf
) -> list[RankedText] | RerankResponse:
    """Order `texts` (TEI) or `documents` by the reward they get as answers to the query."""
    if isinstance(body, RerankRequest):
        with_documents = body.return_documents is not False
        return await rerank_documents(body, request, service, "1", with_documents=with_documents)
    result = await scoring.score(request, service, body.to_scoring_request(), param="texts")
    scoring.raw_scores(result)  # the response has no place for the error of one text
    return rank_texts(body, result)


@router.post("/predict", summary="Score texts or pairs, as TEI does")
async def predict(
    body: PredictRequest, request: Request, service: ServiceOf
) -> list[Prediction] | list[list[Prediction]]:
    """Score each text, or each pair as a prompt and its answer, in the order given."""
    result = await scoring.score(request, service, body.to_scoring_request(), param="inputs")
    scoring.raw_scores(result)
    return predictions(body, result)


DIALECT = Dialect(router, tei_error)
