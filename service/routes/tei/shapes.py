"""Bodies and answers of Hugging Face's text-embeddings-inference (TEI)."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from reward_model.text.chat import Message
from reward_model.text.encoding import Rendered
from service.errors import QueueFull, ServiceError, Unavailable
from service.routes.rerank.shapes import RerankBody, Text, ask_for
from service.routes.shared.relevance import relevance
from service.scoring.types import Item, OverLength, ScoringRequest, ScoringResult, chats, rank
from service.settings import MOST_CANDIDATES


class _Options(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    raw_scores: bool | None = Field(
        None, description="Raw logits instead of a sigmoid of the calibrated score."
    )
    truncate: bool | None = Field(
        None,
        description="Cut what is too long: the query, or a pair's first text, in its middle. What "
        "is scored is never cut.",
    )

    @property
    def over_length(self) -> OverLength:
        return "truncate_prompt" if self.truncate else "error"


class TextsBody(_Options):
    query: Text = Field(description="What the user says.")
    texts: Annotated[list[str], Field(fail_fast=True)] = Field(
        min_length=1, max_length=MOST_CANDIDATES, description="What the assistant may answer."
    )
    return_text: bool | None = None

    def to_ask(self) -> ScoringRequest:
        return ask_for(self.query, tuple(self.texts), self.over_length)


def _body_kind(value: object) -> str:
    return "<texts>" if isinstance(value, dict) and "texts" in value else "<documents>"


AnyRerankBody = Annotated[
    Annotated[TextsBody, Tag("<texts>")] | Annotated[RerankBody, Tag("<documents>")],
    Discriminator(_body_kind),
]

OneText = Annotated[list[str], Field(min_length=1, max_length=2, fail_fast=True)]


def _inputs_kind(value: object) -> str:
    if not isinstance(value, list):
        return "<text>"
    return "<batch>" if value and isinstance(value[0], list) else "<pair>"


Inputs = Annotated[
    Annotated[Text, Tag("<text>")]
    | Annotated[OneText, Tag("<pair>")]
    | Annotated[list[OneText], Field(max_length=MOST_CANDIDATES, fail_fast=True), Tag("<batch>")],
    Discriminator(_inputs_kind),
]


class PredictBody(_Options):
    inputs: Inputs = Field(
        description="A text, `[text]`, a pair `[prompt, answer]`, or a list of the latter two. A "
        "text alone is taken as it is, special tokens included; a pair is rendered as a chat."
    )

    @property
    def is_batch(self) -> bool:
        """One input alone is answered without a list around it."""
        return isinstance(self.inputs, list) and isinstance(self.inputs[0], list)

    @property
    def entries(self) -> list[list[str]]:
        """Each a text alone or a pair."""
        if isinstance(self.inputs, str):
            return [[self.inputs]]
        lists = [entry for entry in self.inputs if isinstance(entry, list)]
        return lists or [[text for text in self.inputs if isinstance(text, str)]]

    def to_ask(self) -> ScoringRequest:
        return ScoringRequest(tuple(map(_items, self.entries)), over_length=self.over_length)


def _items(texts: list[str]) -> tuple[Item, ...]:
    if len(texts) == 1:
        return (Rendered(texts[0], add_special_tokens=True),)
    prompt, answer = texts
    return chats((Message("user", prompt),), (answer,))


class Rank(BaseModel):
    index: int = Field(description="Place among the texts of the request.")
    score: float
    text: str | None = None


class Prediction(BaseModel):
    score: float
    label: Literal["LABEL_0"] = "LABEL_0"


ErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation"]


class TeiError(BaseModel):
    """`message` is for Cohere's and Jina's clients, which share `/rerank` with TEI's."""

    error: str
    error_type: ErrorType
    message: str


def tei_error(error: ServiceError, status: int) -> object:
    kind = _kind(error, status)
    return TeiError(error=error.message, error_type=kind, message=error.message).model_dump()


def _kind(error: ServiceError, status: int) -> ErrorType:
    if isinstance(error, QueueFull):
        return "Overloaded"
    if isinstance(error, Unavailable):
        return "Unhealthy"
    return "Validation" if status < _SERVERS else "Backend"


_SERVERS = 500
"""From here on a status is the server's fault."""


def ranks_of(body: TextsBody, scored: ScoringResult) -> list[Rank]:
    """In the order of the raw scores: a sigmoid may make equals of what is not."""
    (items,) = scored.inputs
    return [
        Rank(
            index=index,
            score=relevance(items[index], raw=bool(body.raw_scores)),
            text=body.texts[index] if body.return_text else None,
        )
        for index in rank(items)
    ]


def predictions_of(
    body: PredictBody, scored: ScoringResult
) -> list[Prediction] | list[list[Prediction]]:
    predictions = [
        [Prediction(score=relevance(item, raw=bool(body.raw_scores)))] for item in scored.items()
    ]
    return predictions if body.is_batch else predictions[0]
