"""The native dialect's request: nothing in it is silently ignored."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic.config import JsonDict

from reward_model.text.chat import Message
from reward_model.text.steps import join_steps
from service.scheduling.queue import Priority
from service.scoring.types import Item, OverLength, ScoringRequest, chats
from service.settings import MOST_CANDIDATES

Text = Annotated[str, Field(min_length=1)]

Candidate = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[list[Text], Field(min_length=1, fail_fast=True), Tag("<list>")],
    Discriminator(lambda value: "<list>" if isinstance(value, list) else "<text>"),
]

Weight = Annotated[float, Field(strict=False, allow_inf_nan=False)]

_MOST_MODELS = 16
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
    candidates: list[Candidate] = Field(
        min_length=1,
        max_length=MOST_CANDIDATES,
        fail_fast=True,
        description="Texts; where `steps` are asked for, also lists of a text's steps.",
    )

    @model_validator(mode="after")
    def _one_conversation(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("needs either prompt or messages, and not both")
        if self.messages and self.messages[-1].role == "assistant":
            raise ValueError("must not end messages on the assistant: the candidates do")
        return self

    def to_input(self, steps: "Steps | None") -> tuple[Item, ...]:
        turns = self.messages or [Turn(role="user", content=self.prompt or "")]
        conversation = tuple(Message(turn.role, turn.content) for turn in turns)
        if steps is None:
            return chats(conversation, tuple(map(_one_text, self.candidates)))
        split = [join_steps(candidate, steps.delimiter) for candidate in self.candidates]
        return chats(
            conversation,
            tuple(text for text, _ in split),
            tuple(ends for _, ends in split),
        )


class Steps(_Strict):
    """Asks for a score at the end of each step of a candidate."""

    delimiter: Text = Field(
        "\n",
        description="Ends a step of a candidate that is one text, and joins those of one that is a "
        "list of steps. What is white space alone is no step.",
    )


class ScoreRequest(_Strict):
    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    inputs: list[ScoreInput] = Field(min_length=1, max_length=MOST_CANDIDATES, fail_fast=True)
    model: str | None = Field(
        None,
        description="One of /v1/models, its current version, or `name@version`, which is that "
        "version as long as it is loaded. Unset: the first.",
    )
    models: dict[str, Weight] | None = Field(
        None,
        min_length=1,
        max_length=_MOST_MODELS,
        description="Instead of `model`: models and weights. The score is then the weighted sum "
        "of their normalised scores, and `parts` has each; all must be calibrated.",
    )
    priority: Priority = Field(
        "interactive", description="`bulk` work runs when no interactive work waits."
    )
    timeout_ms: int | None = Field(
        None,
        ge=1,
        le=_DAY_MS,
        description="Milliseconds after which the answer is 504; what has not run then never will.",
    )
    over_length: OverLength = Field(
        "error",
        description="What becomes of a candidate whose conversation is longer than the model "
        "takes. `error`: it gets the error `too_long`. `truncate_prompt`: the middle of the "
        "longest message before it is dropped, never any of the candidate itself; see `truncated`.",
    )
    steps: Steps | None = Field(
        None, description="Score each candidate's steps, too, in the same forward."
    )

    @model_validator(mode="after")
    def _one_way_to_name_models(self) -> Self:
        if self.models and self.model:
            raise ValueError("needs either model or models, and not both")
        if self.models and self.steps:
            raise ValueError("has steps, which several models together do not score")
        return self

    @model_validator(mode="after")
    def _lists_are_of_steps(self) -> Self:
        if self.steps is None and any(
            isinstance(candidate, list) for entry in self.inputs for candidate in entry.candidates
        ):
            raise ValueError("has candidates that are lists of steps, and does not ask for steps")
        return self

    def to_ask(self) -> ScoringRequest:
        timeout = None if self.timeout_ms is None else self.timeout_ms / 1000
        inputs = tuple(entry.to_input(self.steps) for entry in self.inputs)
        return ScoringRequest(inputs, self.priority, timeout, self.over_length)


def _one_text(candidate: str | list[str]) -> str:
    assert isinstance(candidate, str)
    return candidate
