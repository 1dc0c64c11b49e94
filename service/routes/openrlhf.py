"""OpenRLHF's remote reward model: rendered texts in, rewards out."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from reward_model.text.encoding import Rendered
from service.routes.shared import dialect
from service.routes.shared.body_types import Tolerant
from service.routes.shared.dependencies import ServiceOf
from service.routes.shared.detail_shape import ERRORS, detail_error
from service.routes.shared.dialect import Dialect, raw_scores
from service.routes.shared.json_body import JsonRoute
from service.routes.shared.relevance import relevance
from service.scoring.types import ScoringRequest
from service.settings import MOST_CANDIDATES
from service.telemetry.request_record import server_timing

router = APIRouter(route_class=JsonRoute, tags=["OpenRLHF"])


class Queries(Tolerant):
    query: Annotated[list[str], Field(max_length=MOST_CANDIDATES, fail_fast=True)] = Field(
        description="Prompts with their answers, as rendered: special tokens are tokens."
    )


class Rewards(BaseModel):
    rewards: list[float] = Field(description="Raw logits.")
    scores: list[float] = Field(
        description="From 0 to 1, for dynamic filtering: the sigmoid of the normalized score, or "
        "of the raw logit where the model has no calibration."
    )
    extra_logs: dict[str, list[float]] = Field(
        {}, description="Empty: some versions fail on any entry that comes over HTTP."
    )


@router.post("/get_reward", responses=ERRORS, summary="Rewards for OpenRLHF")
async def get_reward(
    body: Queries, request: Request, response: Response, service: ServiceOf
) -> Rewards:
    """An empty `query` has empty lists: some versions send one to each of their servers."""
    ask = ScoringRequest(tuple((Rendered(text),) for text in body.query))
    scored = await dialect.score(request, service, ask, param="query")
    response.headers["Server-Timing"] = server_timing(scored.timings)
    return Rewards(
        rewards=raw_scores(scored),
        scores=[relevance(item, raw=False) for item in scored.items()],
    )


DIALECT = Dialect(router, detail_error)
