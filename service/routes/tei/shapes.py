"""Bodies of Hugging Face's text-embeddings-inference (TEI)."""

from http import HTTPStatus
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Discriminator, Field, Tag, model_validator

from reward_model.text.chat import Message
from reward_model.text.encoding import Rendered
from service.errors import QueueFull, ServiceError, Unavailable
from service.routes.rerank.shapes import RerankRequest
from service.routes.shared.body_types import Tolerant
from service.routes.shared.criteria import CRITERIA, AskedCriteria, names_and_weights
from service.routes.shared.refused import Refused
from service.routes.shared.relevance import relevance
from service.scoring.types import Item, OverLength, ScoringRequest, ScoringResult, chats, rank
from service.settings import MAX_CANDIDATES


class _TeiOptions(Tolerant):
    raw_scores: bool | None = Field(
        None, description="Raw logits instead of a sigmoid of the calibrated score."
    )
    truncate: bool | None = Field(
        None,
        description="Cut what is too long: the query, or a pair's first text, in its middle. What "
        "is scored is never cut.",
    )
    truncation_direction: str | None = Field(
        None, description="With `truncate` it is refused: the cut is made in the middle."
    )
    criteria: AskedCriteria | None = CRITERIA
    prompt_name: Annotated[
        object, Refused("a release has a chat template and no named prompts")
    ] = None

    @model_validator(mode="after")
    def _require_no_direction(self) -> Self:
        # TEI reads the direction only where it truncates.
        if self.truncate and self.truncation_direction is not None:
            raise ValueError(
                "has a truncation_direction, and `truncate` removes tokens from the middle of the "
                "query: leave the direction out"
            )
        return self

    @property
    def over_length(self) -> OverLength:
        return "truncate_prompt" if self.truncate else "error"


class TeiRerankRequest(_TeiOptions):
    query: str = Field(description="What the user says.")
    texts: Annotated[list[str], Field(fail_fast=True)] = Field(
        min_length=1, max_length=MAX_CANDIDATES, description="What the assistant may answer."
    )
    return_text: bool | None = None

    def to_scoring_request(self) -> ScoringRequest:
        items = chats((Message("user", self.query),), tuple(self.texts))
        criteria = names_and_weights(self.criteria)
        return ScoringRequest((items,), over_length=self.over_length, criteria=criteria)


# Clients of TEI, Cohere, Jina and vLLM share the path `/rerank`; only TEI's send `texts`.
AnyRerankRequest = Annotated[
    Annotated[TeiRerankRequest, Tag("<texts>")] | Annotated[RerankRequest, Tag("<documents>")],
    Discriminator(
        lambda body: "<texts>" if isinstance(body, dict) and "texts" in body else "<documents>"
    ),
]


def _check_pair(texts: list[str]) -> list[str]:
    if len(texts) > 2:
        raise ValueError(
            "is a text or a pair of a prompt and its answer: send several as a list of lists, such "
            "as [[text], [prompt, answer]]"
        )
    return texts


TextOrPair = Annotated[list[str], Field(min_length=1, fail_fast=True), AfterValidator(_check_pair)]


def _inputs_kind(value: object) -> str:
    if not isinstance(value, list):
        return "<text>"
    return "<batch>" if value and isinstance(value[0], list) else "<pair>"


Inputs = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[TextOrPair, Tag("<pair>")]
    | Annotated[list[TextOrPair], Field(max_length=MAX_CANDIDATES, fail_fast=True), Tag("<batch>")],
    Discriminator(_inputs_kind),
]


class PredictRequest(_TeiOptions):
    inputs: Inputs = Field(
        description="A text, `[text]`, a pair `[prompt, answer]`, or a list of the latter two. A "
        "text alone is taken as it is, special tokens included; a pair is rendered as a chat."
    )

    @property
    def is_batch(self) -> bool:
        """Whether the inputs are a list. The answer to one input has no list around it."""
        return isinstance(self.inputs, list) and isinstance(self.inputs[0], list)

    def to_scoring_request(self) -> ScoringRequest:
        if isinstance(self.inputs, str):
            entries = [[self.inputs]]
        else:
            # The inputs are all lists (a batch) or all texts (one entry), as the tags made sure.
            entries = [entry for entry in self.inputs if isinstance(entry, list)]
            entries = entries or [[text for text in self.inputs if isinstance(text, str)]]
        items: list[tuple[Item, ...]] = []
        for entry in entries:
            if len(entry) == 1:
                # TEI encodes a single text as it is and adds the tokenizer's special tokens.
                items.append((Rendered(entry[0], add_special_tokens=True),))
            else:
                prompt, answer = entry
                items.append(chats((Message("user", prompt),), (answer,)))
        criteria = names_and_weights(self.criteria)
        return ScoringRequest(tuple(items), over_length=self.over_length, criteria=criteria)


class RankedText(BaseModel):
    index: int = Field(description="Position among the texts of the request.")
    score: float
    text: str | None = None


class Prediction(BaseModel):
    score: float
    label: str = "LABEL_0"


ErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation"]


class TeiError(BaseModel):
    """`message` is for Cohere's and Jina's clients, which share `/rerank` with TEI's."""

    error: str
    error_type: ErrorType
    message: str


def tei_error(error: ServiceError, status: int) -> object:
    """Shape an error as TEI does."""
    kind: ErrorType
    if isinstance(error, QueueFull):
        kind = "Overloaded"
    elif isinstance(error, Unavailable):
        kind = "Unhealthy"
    else:
        kind = "Backend" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "Validation"
    return TeiError(error=error.message, error_type=kind, message=error.message).model_dump()


def rank_texts(body: TeiRerankRequest, result: ScoringResult) -> list[RankedText]:
    """Return the texts, the best first."""
    (items,) = result.inputs
    return [
        RankedText(
            index=index,
            score=relevance(items[index], raw=bool(body.raw_scores)),
            text=body.texts[index] if body.return_text else None,
        )
        # Ordered by raw score: a sigmoid rounds different scores to the same number.
        for index in rank(items)
    ]


def predictions(
    body: PredictRequest, result: ScoringResult
) -> list[Prediction] | list[list[Prediction]]:
    """Return the predictions for each input, in their order.

    There is one, or one for each of the criteria that are asked for, the highest first.
    """
    raw = bool(body.raw_scores)
    rows = []
    for item in result.items():
        named = item.parts.items() if body.criteria else [("LABEL_0", item)]
        row = [Prediction(score=relevance(one, raw=raw), label=name) for name, one in named]
        rows.append(sorted(row, key=lambda prediction: -prediction.score))
    return rows if body.is_batch else rows[0]
