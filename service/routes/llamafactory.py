"""LLaMA-Factory's reward server: rendered texts in, raw scores out."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, Field

from reward_model.text.encoding import Rendered
from service.routes.shared import dialect
from service.routes.shared.body_types import Text, Tolerant
from service.routes.shared.dependencies import ServiceOf
from service.routes.shared.detail_shape import ERRORS, detail_error
from service.routes.shared.dialect import Dialect, raw_scores
from service.routes.shared.json_body import JsonRoute
from service.scoring.types import ScoringRequest
from service.settings import MOST_CANDIDATES
from service.telemetry.request_record import record_of, server_timing

router = APIRouter(route_class=JsonRoute, tags=["LLaMA-Factory"])


def _cuts_nothing(_length: int) -> int:
    raise ValueError("must be left out: this server cuts no text, it refuses what is too long")


class Evaluation(Tolerant):
    """Its `model` is not read: LLaMA-Factory's trainer sends the word "model", whatever it is."""

    messages: Annotated[
        list[Text], Field(min_length=1, max_length=MOST_CANDIDATES, fail_fast=True)
    ] = Field(description="Conversations as the template rendered them: special tokens are tokens.")
    max_length: Annotated[int, AfterValidator(_cuts_nothing)] | None = None


class Evaluated(BaseModel):
    id: str
    object: Literal["score.evaluation"] = "score.evaluation"
    model: str
    scores: list[float] = Field(description="Raw logits.")


@router.post("/v1/score/evaluation", responses=ERRORS, summary="Scores for LLaMA-Factory's PPO")
async def evaluate(
    body: Evaluation, request: Request, response: Response, service: ServiceOf
) -> Evaluated:
    ask = ScoringRequest(tuple((Rendered(text),) for text in body.messages))
    scored = await dialect.score(request, service, ask, param="messages")
    response.headers["Server-Timing"] = server_timing(scored.timings)
    return Evaluated(
        id=f"scoreval-{record_of(request).request_id}",
        model=scored.model,
        scores=raw_scores(scored),
    )


DIALECT = Dialect(router, detail_error)
