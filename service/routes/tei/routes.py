"""Clients of text-embeddings-inference (TEI): `POST /rerank` and `POST /predict`.

vLLM and some of Jina's clients call `/rerank`, too, with `documents` where TEI has `texts`.
"""

from fastapi import APIRouter, Request, Response

from service.routes.rerank.routes import rerank as rerank_documents
from service.routes.rerank.shapes import RerankAnswer, RerankBody
from service.routes.shared import dialect
from service.routes.shared.dependencies import ServiceOf
from service.routes.shared.dialect import Dialect, raw_scores
from service.routes.shared.json_body import JsonRoute
from service.routes.shared.openai_shape import documented
from service.routes.tei.shapes import (
    AnyRerankBody,
    PredictBody,
    Prediction,
    Rank,
    TeiError,
    predictions_of,
    ranks_of,
    tei_error,
)
from service.telemetry.request_record import server_timing

router = APIRouter(route_class=JsonRoute, tags=["rerank"], responses=documented(TeiError))


@router.post("/rerank", response_model_exclude_none=True, summary="Rerank, as TEI or vLLM does")
async def rerank(
    body: AnyRerankBody, request: Request, response: Response, service: ServiceOf
) -> list[Rank] | RerankAnswer:
    """Order `texts` (TEI) or `documents` by the reward they get as answers to the query."""
    if isinstance(body, RerankBody):
        with_documents = body.return_documents is not False
        return await rerank_documents(
            body, request, response, service, "1", with_documents=with_documents
        )
    scored = await dialect.score(request, service, body.to_ask(), param="texts")
    raw_scores(scored)  # there is no place for the error of one text
    response.headers["Server-Timing"] = server_timing(scored.timings)
    return ranks_of(body, scored)


@router.post("/predict", summary="Score texts or pairs, as TEI does")
async def predict(
    body: PredictBody, request: Request, response: Response, service: ServiceOf
) -> list[Prediction] | list[list[Prediction]]:
    """Score each text, or each pair as a prompt and its answer, in the order given."""
    scored = await dialect.score(request, service, body.to_ask(), param="inputs")
    raw_scores(scored)
    response.headers["Server-Timing"] = server_timing(scored.timings)
    return predictions_of(body, scored)


DIALECT = Dialect(router, tei_error)
