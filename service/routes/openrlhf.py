"""OpenRLHF's remote reward model: rendered texts in, rewards out."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from reward_model.text.encoding import Rendered
from service.routes.shared import scoring
from service.routes.shared.body_types import Tolerant
from service.routes.shared.criteria import CriteriaElsewhere, CriteriaQuery, from_text
from service.routes.shared.dialect import Dialect
from service.routes.shared.error_shapes import DETAIL_ERRORS, detail_error
from service.routes.shared.relevance import relevance
from service.routes.shared.routing import JsonRoute, ServiceOf
from service.scoring.types import ScoringRequest
from service.settings import MAX_CANDIDATES

router = APIRouter(route_class=JsonRoute, tags=["OpenRLHF"])


class RewardRequest(Tolerant):
    # The client sends `prompts` and `labels`, too; `query` already holds the prompt. An empty list
    # is allowed, because older clients send one to some servers of their list.
    query: Annotated[list[str], Field(max_length=MAX_CANDIDATES, fail_fast=True)] = Field(
        description="Prompts with their answers, as rendered: special tokens are tokens."
    )
    criteria: CriteriaElsewhere = None


class RewardResponse(BaseModel):
    # The trainer computes advantages from `rewards` and filters samples by `scores`.
    rewards: list[float] = Field(description="Raw logits.")
    scores: list[float] = Field(
        description="From 0 to 1, for dynamic filtering: the sigmoid of the normalized score, or "
        "of the raw logit where the model has no calibration."
    )
    extra_logs: dict[str, list[float]] = Field(
        {}, description="Empty: some versions fail on any entry that comes over HTTP."
    )


@router.post("/get_reward", responses=DETAIL_ERRORS, summary="Rewards for OpenRLHF")
async def get_reward(
    body: RewardRequest, request: Request, service: ServiceOf, criteria: CriteriaQuery = None
) -> RewardResponse:
    """Score each text of `query`. An empty `query` is answered with empty lists."""
    asked = ScoringRequest(
        tuple((Rendered(text),) for text in body.query), criteria=from_text(criteria)
    )
    result = await scoring.score(request, service, asked, param="query")
    return RewardResponse(
        rewards=scoring.raw_scores(result),
        scores=[relevance(item, raw=False) for item in result.items()],
    )


DIALECT = Dialect(router, detail_error)
