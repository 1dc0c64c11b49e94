"""LLaMA-Factory's reward server: rendered texts in, raw scores out."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from reward_model.text.encoding import Rendered
from service.routes.shared import scoring
from service.routes.shared.body_types import Texts, Tolerant
from service.routes.shared.criteria import CriteriaElsewhere, CriteriaQuery, from_text
from service.routes.shared.dialect import Dialect
from service.routes.shared.error_shapes import DETAIL_ERRORS, detail_error
from service.routes.shared.refused import Refused
from service.routes.shared.routing import JsonRoute, ServiceOf
from service.scoring.types import ScoringRequest
from service.telemetry.request_record import record_of

router = APIRouter(route_class=JsonRoute, tags=["LLaMA-Factory"])


class EvaluationRequest(Tolerant):
    # `model` is not among the fields, so any is accepted: the trainer always sends "model".
    messages: Texts = Field(
        description="Conversations as the template rendered them: special tokens are tokens."
    )
    # The trainer sends null. A number would ask for truncation, which must not be ignored silently.
    max_length: Annotated[
        object, Refused("this server cuts no text, it refuses what is too long")
    ] = None
    criteria: CriteriaElsewhere = None


class EvaluationResponse(BaseModel):
    id: str
    object: Literal["score.evaluation"] = "score.evaluation"
    model: str
    scores: list[float] = Field(description="Raw logits.")


@router.post(
    "/v1/score/evaluation", responses=DETAIL_ERRORS, summary="Scores for LLaMA-Factory's PPO"
)
async def evaluate(
    body: EvaluationRequest, request: Request, service: ServiceOf, criteria: CriteriaQuery = None
) -> EvaluationResponse:
    asked = ScoringRequest(
        tuple((Rendered(text),) for text in body.messages), criteria=from_text(criteria)
    )
    result = await scoring.score(request, service, asked, param="messages")
    return EvaluationResponse(
        id=f"scoreval-{record_of(request).request_id}",
        model=result.model,
        scores=scoring.raw_scores(result),
    )


DIALECT = Dialect(router, detail_error)
