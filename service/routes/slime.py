"""slime's remote reward model: one sample in, its reward out as a bare number."""

from typing import Annotated, Self

from fastapi import APIRouter, Query, Request, Response
from pydantic import Discriminator, Field, Tag, model_validator

from reward_model.text.chat import Conversation, Message
from reward_model.text.encoding import Rendered
from service.errors import InvalidRequest
from service.routes.shared import dialect
from service.routes.shared.body_types import Text, Tolerant, Turns, conversation, is_list
from service.routes.shared.dependencies import ServiceOf
from service.routes.shared.detail_shape import ERRORS, detail_error
from service.routes.shared.dialect import Dialect, raw_scores
from service.routes.shared.json_body import JsonRoute
from service.scoring.types import ScoringRequest, chats
from service.telemetry.request_record import server_timing

router = APIRouter(route_class=JsonRoute, tags=["slime"])

Prompt = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[Turns, Tag("<list>")], Discriminator(is_list)
]


class Sample(Tolerant):
    prompt: Prompt = Field(description="The user's message, or the conversation so far.")
    response: str

    @model_validator(mode="after")
    def _answers_somebody(self) -> Self:
        if isinstance(self.prompt, list) and self.prompt[-1].role == "assistant":
            raise ValueError("must not end prompt on the assistant: the response does")
        return self

    def conversation(self) -> Conversation:
        if isinstance(self.prompt, str):
            return (Message("user", self.prompt),)
        return conversation(self.prompt)

    def to_ask(self, rendered: bool) -> ScoringRequest:
        if not rendered:
            return ScoringRequest((chats(self.conversation(), (self.response,)),))
        if isinstance(self.prompt, str):
            return ScoringRequest(((Rendered(self.prompt + self.response),),))
        raise InvalidRequest("prompt is a list, and a rendered one is a text", param="prompt")


@router.post("/slime", responses=ERRORS, summary="Reward for slime")
async def reward(
    body: Sample,
    request: Request,
    response: Response,
    service: ServiceOf,
    rendered: Annotated[
        bool, Query(description="The prompt is rendered; special tokens are tokens.")
    ] = False,
) -> float:
    """The body of the answer is the raw logit alone."""
    scored = await dialect.score(request, service, body.to_ask(rendered), param="response")
    response.headers["Server-Timing"] = server_timing(scored.timings)
    (score,) = raw_scores(scored)
    return score


DIALECT = Dialect(router, detail_error)
