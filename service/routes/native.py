"""The native dialect: `POST /v1/score`. Raw logits, per-item errors, nothing silently ignored."""

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from reward_model.chat import Message
from service.ask import Ask, Input, ItemScore, Scored, rank
from service.backlog import Priority
from service.errors import InvalidRequest, ItemErrorCode, UnknownModel
from service.lifecycle import Service
from service.record import record_of, server_timing
from service.routes.json_body import JsonRoute
from service.routes.openai_shape import ERRORS
from service.routes.seams import ServiceOf, while_connected
from service.settings import MOST_CANDIDATES

router = APIRouter(route_class=JsonRoute, tags=["score"])

Text = Annotated[str, Field(min_length=1)]

_MOST_FIELDS = 32
_DAY_MS = 24 * 60 * 60 * 1000

_PROMPT = "Write a function `add(a, b)` that returns the sum of two numbers."
_EXAMPLE: JsonDict = {
    "inputs": [
        {
            "prompt": _PROMPT,
            "candidates": [
                "def add(a, b):\n    return a + b",
                "def add(a, b):\n    return a - b",
            ],
        },
        {
            "messages": [{"role": "user", "content": _PROMPT}],
            "candidates": ["def add(a, b):\n    return sum((a, b))"],
        },
    ],
    "priority": "interactive",
    "timeout_ms": 30000,
}


class _Strict(BaseModel):
    """Faults are not collected without end: a body may hold millions of them."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, data: object) -> object:
        if isinstance(data, dict) and len(data) > _MOST_FIELDS:
            raise ValueError(f"has {len(data)} fields, many more than there are")
        return data


class Turn(_Strict):
    role: Literal["system", "user", "assistant", "tool"]
    content: Text


class ScoreInput(_Strict):
    """A conversation and candidates for its next turn, the assistant's."""

    prompt: Text | None = Field(None, description="Short for one user message.")
    messages: Annotated[list[Turn], Field(fail_fast=True)] | None = Field(
        None,
        min_length=1,
        description="The conversation so far, instead of `prompt`; its last turn is not the "
        "assistant's, because the candidates are.",
    )
    candidates: list[str] = Field(min_length=1, max_length=MOST_CANDIDATES, fail_fast=True)

    @model_validator(mode="after")
    def _one_conversation(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("needs either prompt or messages, and not both")
        if self.messages and self.messages[-1].role == "assistant":
            raise ValueError("must not end messages on the assistant: the candidates do")
        return self

    def to_input(self) -> Input:
        turns = self.messages or [Turn(role="user", content=self.prompt or "")]
        conversation = tuple(Message(turn.role, turn.content) for turn in turns)
        return Input(conversation, tuple(self.candidates))


class ScoreRequest(_Strict):
    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    inputs: list[ScoreInput] = Field(min_length=1, max_length=MOST_CANDIDATES, fail_fast=True)
    model: str | None = Field(None, description="If given, it must be the one that is served.")
    priority: Priority = Field(
        "interactive", description="`bulk` work runs when no interactive work waits."
    )
    timeout_ms: int | None = Field(
        None,
        ge=1,
        le=_DAY_MS,
        description="Milliseconds after which the answer is 504; what has not run then never will.",
    )
    over_length: Literal["error"] = Field(
        "error",
        description="A candidate whose conversation is longer than the model takes gets the "
        "error `too_long`; it is never cut.",
    )
    steps: None = Field(None, description="Scores of single steps are not offered yet.")

    def to_ask(self) -> Ask:
        timeout = None if self.timeout_ms is None else self.timeout_ms / 1000
        return Ask(tuple(entry.to_input() for entry in self.inputs), self.priority, timeout)


class CandidateError(BaseModel):
    code: ItemErrorCode
    message: str


class CandidateScore(BaseModel):
    index: int = Field(description="Place among the candidates of the request.")
    score: float | None = Field(description="Raw logit; null when there is an error.")
    normalized: float | None = Field(
        description="Standard deviations above the mean of the release's reference set; null "
        "for a model without calibration."
    )
    tokens: int = Field(description="Of the whole conversation with this candidate.")
    error: CandidateError | None


class InputResult(BaseModel):
    scores: list[CandidateScore]
    ranking: list[int] = Field(
        description="Candidates that have a score, best first; of equals the earlier goes first."
    )
    best: int | None = Field(description="First of the ranking.")


class Usage(BaseModel):
    tokens: int = Field(description="Of all candidates, each with its whole conversation.")
    computed_tokens: int = Field(description="That the model worked through: shared ones once.")


class ScoreResponse(BaseModel):
    id: str
    model: str
    version: str
    score_type: Literal["raw_logit"] = "raw_logit"
    results: list[InputResult]
    usage: Usage


@router.post("/v1/score", responses=ERRORS, summary="Score candidates")
async def score(
    body: ScoreRequest, request: Request, response: Response, service: ServiceOf
) -> ScoreResponse:
    """Score the candidates of each input with the reward model, higher is better.

    One candidate that cannot be scored has an `error` and changes nothing for the others.
    The response's `Server-Timing` says where the time went; `X-Request-Id` is taken or made.
    """
    record = record_of(request)
    record.ask = body.to_ask()
    _refuse(body, record.ask, service)
    record.scored = await while_connected(request, service.scorer.score(record.ask))
    response.headers["Server-Timing"] = server_timing(record.scored.timings)
    return _response(record.request_id, service, record.scored)


def _refuse(body: ScoreRequest, ask: Ask, service: Service) -> None:
    limit = service.settings.max_candidates
    if ask.items > limit:
        raise InvalidRequest(
            f"inputs have {ask.items} candidates, this server takes {limit} in one request "
            "(--max-candidates): split the request",
            param="inputs",
        )
    if body.model not in (None, service.model.name):
        raise UnknownModel(
            f"the model served here is {service.model.name!r}: name it, or none", param="model"
        )


def _response(request_id: str, service: Service, scored: Scored) -> ScoreResponse:
    return ScoreResponse(
        id=f"score-{request_id}",
        model=service.model.name,
        version=service.model.release.version,
        results=[_result(items) for items in scored.inputs],
        usage=Usage(tokens=scored.tokens, computed_tokens=scored.computed_tokens),
    )


def _result(items: tuple[ItemScore, ...]) -> InputResult:
    ranking = rank(items)
    scores = [_candidate(index, item) for index, item in enumerate(items)]
    return InputResult(scores=scores, ranking=ranking, best=next(iter(ranking), None))


def _candidate(index: int, item: ItemScore) -> CandidateScore:
    error = item.error
    return CandidateScore(
        index=index,
        score=item.raw,
        normalized=item.normalized,
        tokens=item.tokens,
        error=CandidateError(code=error.code, message=error.message) if error else None,
    )
