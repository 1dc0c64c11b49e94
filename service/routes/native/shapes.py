"""Requests of the native dialect, in which nothing is silently ignored."""

from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from reward_model.text.chat import Message
from reward_model.text.steps import join_steps
from service.routes.shared.body_types import Content, Name, is_list, message
from service.routes.shared.criteria import CRITERIA, AskedCriteria, Weight, names_and_weights
from service.routes.shared.template_options import TemplateKwargs, Tools, template_inputs
from service.scheduling.queue import Priority
from service.scoring.types import Item, OverLength, ScoringRequest, chats
from service.settings import MAX_CANDIDATES

# Each model scores every candidate of a request, so their number multiplies its cost.
_MAX_MODELS = 16

# More fields than any object of this dialect has, and few enough to report each unknown one.
_MAX_FIELDS = 32

# Characters. It is written between all steps of a candidate that is a list, so a long one would
# make gigabytes of a small body.
_MAX_DELIMITER = 100

# Steps of all candidates of a request together. A text of megabytes may be nothing but delimiters.
_MAX_STEPS = 500_000

_DAY_MS = 24 * 60 * 60 * 1000

_PROMPT = "Write a function `add(a, b)` that returns the sum of two numbers."
EXAMPLE: JsonDict = {
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
    """A part of a body in which unknown fields are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _limit_fields(cls, data: object) -> object:
        # pydantic collects one error per unknown field, and a body may hold millions of them.
        if isinstance(data, dict) and len(data) > _MAX_FIELDS:
            raise ValueError(f"has {len(data)} fields, many more than there are")
        return data


class AnswerTurn(_Strict):
    """An answer of the assistant that is more than a text, as the chat template reads it."""

    content: Content = Field("", description="A text, a list of text parts, or null.")
    name: str | None = None
    tool_calls: Annotated[list[dict[str, JsonValue]], Field(fail_fast=True)] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    def to_message(self, role: str = "assistant") -> Message:
        # Most turns have no more, and a request may have very many of them.
        extra = sorted(self.model_fields_set - {"role", "content"})
        return message(role, self.content, {name: getattr(self, name) for name in extra})


class StrictTurn(AnswerTurn):
    """A turn. Everything in it is the chat template's to read."""

    role: str = Field(description="Any that the chat template knows.")
    tool_call_id: str | None = None


def _candidate_kind(value: object) -> str:
    return "<turn>" if isinstance(value, dict) else is_list(value)


Candidate = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[list[str], Field(min_length=1, fail_fast=True), Tag("<list>")]
    | Annotated[AnswerTurn, Tag("<turn>")],
    Discriminator(_candidate_kind),
]


def _text_of(candidate: str | list[str] | AnswerTurn) -> str | list[str]:
    return candidate.content or "" if isinstance(candidate, AnswerTurn) else candidate


class Steps(_Strict):
    """Asks for a score at the end of each step of a candidate."""

    delimiter: str = Field(
        "\n",
        min_length=1,
        max_length=_MAX_DELIMITER,
        description="Ends a step of a candidate that is one text, and joins the steps of one that "
        "is a list. White space alone is no step.",
    )


class ScoreInput(_Strict):
    """A conversation and candidates for its next turn, the assistant's."""

    prompt: str | None = Field(None, description="Short for one user message.")
    messages: Annotated[list[StrictTurn], Field(fail_fast=True)] | None = Field(
        None,
        min_length=1,
        description="The conversation so far, instead of `prompt`; its last turn is not the "
        "assistant's, because the candidates are.",
    )
    tools: Tools | None = Field(
        None, description="Tools that the chat template shows, as transformers takes them."
    )
    template_kwargs: TemplateKwargs | None = Field(
        None,
        description="Further variables of the chat template, such as `enable_thinking` or "
        "`documents`.",
    )
    candidates: list[Candidate] = Field(
        min_length=1,
        max_length=MAX_CANDIDATES,
        fail_fast=True,
        description="Texts; or turns, for answers that call tools or come with reasoning; where "
        "`steps` are asked for, also lists of a text's steps.",
    )

    @model_validator(mode="after")
    def _require_open_conversation(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("needs either prompt or messages, and not both")
        if self.messages and self.messages[-1].role == "assistant":
            raise ValueError("must not end messages on the assistant: the candidates do")
        return self

    def to_items(self, steps: Steps | None) -> tuple[Item, ...]:
        prompt: tuple[Message, ...] = (Message("user", self.prompt or ""),)
        if self.messages:
            prompt = tuple(turn.to_message(turn.role) for turn in self.messages)
        inputs = template_inputs(self.tools, self.template_kwargs)
        answers: list[Message] = []
        step_ends: list[tuple[int, ...]] = []
        for candidate in self.candidates:
            if isinstance(candidate, AnswerTurn):
                turn = candidate.to_message()
            else:
                turn = Message("assistant", "")
            text = _text_of(candidate)
            if steps is not None:
                text, ends = join_steps(text, steps.delimiter)
                step_ends.append(ends)
            assert isinstance(text, str), "a request without steps has no lists of them"
            answers.append(turn._replace(content=text))
        ends_of_all = None if steps is None else tuple(step_ends)
        return chats(prompt, tuple(answers), ends_of_all, inputs)


class ScoreRequest(_Strict):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    inputs: list[ScoreInput] = Field(min_length=1, max_length=MAX_CANDIDATES, fail_fast=True)
    model: Name | None = Field(
        None,
        description="One of /v1/models: its name, which means the current version, or "
        "`name@version`, which is that version as long as it is loaded. Unset: the first model.",
    )
    models: dict[Name, Weight] | None = Field(
        None,
        min_length=1,
        max_length=_MAX_MODELS,
        description="Instead of `model`: models and weights. The score is then the weighted sum "
        "of their normalized scores, and `parts` has each; all must be calibrated.",
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

    criteria: AskedCriteria | None = CRITERIA

    @field_validator("models", mode="before")
    @classmethod
    def _limit_models(cls, models: object) -> object:
        # pydantic counts them after it has collected an error of each.
        if isinstance(models, dict) and len(models) > _MAX_MODELS:
            raise ValueError(f"has more entries than the {_MAX_MODELS} that it may have")
        return models

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.models and self.model:
            raise ValueError("needs either model or models, and not both")
        if self.models and self.criteria:
            raise ValueError("has criteria, which several models together do not have")
        if self.models and self.steps:
            raise ValueError("has steps, which several models together do not score")
        # Joining steps without a delimiter would guess at the text that is scored.
        candidates = (one for entry in self.inputs for one in entry.candidates)
        if self.steps is None and any(isinstance(one, list) for one in candidates):
            raise ValueError("has candidates that are lists of steps, and does not ask for steps")
        if self.steps and self._count_steps(self.steps.delimiter) > _MAX_STEPS:
            raise ValueError(f"has more than {_MAX_STEPS} steps: split the request")
        return self

    def _count_steps(self, delimiter: str) -> int:
        return sum(
            one.count(delimiter) + 1 if isinstance(one, str) else len(one)
            for entry in self.inputs
            for one in map(_text_of, entry.candidates)
        )

    def to_scoring_request(self) -> ScoringRequest:
        return ScoringRequest(
            tuple(entry.to_items(self.steps) for entry in self.inputs),
            self.priority,
            None if self.timeout_ms is None else self.timeout_ms / 1000,
            self.over_length,
            names_and_weights(self.criteria),
        )
