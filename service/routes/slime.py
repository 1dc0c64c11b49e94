"""slime's remote reward model: one sample in, its reward out as a bare number."""

from dataclasses import replace
from typing import Annotated, Self

from fastapi import APIRouter, Query, Request
from pydantic import Discriminator, Field, Tag, model_validator

from reward_model.text.chat import Message
from reward_model.text.encoding import Rendered
from service.errors import InvalidRequest
from service.routes.shared import scoring
from service.routes.shared.body_types import ChatTurns, Tolerant, conversation, is_list
from service.routes.shared.criteria import CriteriaElsewhere, CriteriaQuery, from_text
from service.routes.shared.dialect import Dialect
from service.routes.shared.error_shapes import DETAIL_ERRORS, detail_error
from service.routes.shared.routing import JsonRoute, ServiceOf
from service.scoring.types import ScoringRequest, chats

router = APIRouter(route_class=JsonRoute, tags=["slime"])

Prompt = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[ChatTurns, Tag("<list>")], Discriminator(is_list)
]


class SlimeSample(Tolerant):
    # The client sends a `label` as well, which a reward model does not need.
    prompt: Prompt = Field(description="The user's message, or the conversation so far.")
    response: str
    criteria: CriteriaElsewhere = None

    @model_validator(mode="after")
    def _require_open_prompt(self) -> Self:
        if isinstance(self.prompt, list) and self.prompt[-1].role == "assistant":
            raise ValueError("must not end prompt on the assistant: the response does")
        return self

    def to_scoring_request(self, rendered: bool) -> ScoringRequest:
        if rendered:
            # Encoded as one text, as the policy saw it: tokens at the joint may merge.
            if isinstance(self.prompt, list):
                raise InvalidRequest(
                    "prompt is a list, and a rendered one is a text", param="prompt"
                )
            return ScoringRequest(((Rendered(self.prompt + self.response),),))
        if isinstance(self.prompt, list):
            prompt = conversation(self.prompt)
        else:
            prompt = (Message("user", self.prompt),)
        return ScoringRequest((chats(prompt, (self.response,)),))


@router.post("/slime", responses=DETAIL_ERRORS, summary="Reward for slime")
async def reward(
    body: SlimeSample,
    request: Request,
    service: ServiceOf,
    # In the URL, because slime's body cannot say it: the address is all that its user configures.
    rendered: Annotated[
        bool, Query(description="The prompt is rendered; special tokens are tokens.")
    ] = False,
    criteria: CriteriaQuery = None,
) -> float:
    """Score one sample. The body of the answer is the raw logit alone."""
    # slime takes the whole body as the reward unless it is told a key (--reward-key).
    asked = replace(body.to_scoring_request(rendered), criteria=from_text(criteria))
    result = await scoring.score(request, service, asked, param="response")
    (score,) = scoring.raw_scores(result)
    return score


DIALECT = Dialect(router, detail_error)
