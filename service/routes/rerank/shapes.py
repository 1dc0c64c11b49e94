"""Bodies and answers of `rerank` as Cohere, Jina and vLLM have it: a query and its `documents`.

Fields that are not known are let pass, as those servers do.
"""

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Discriminator, Field, Tag

from reward_model.text.chat import Message
from service.errors import ServiceError
from service.routes.shared.relevance import relevance
from service.scoring.types import OverLength, ScoringRequest, ScoringResult, chats, rank
from service.settings import MOST_CANDIDATES

Text = Annotated[str, Field(min_length=1)]


class Document(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    text: str


TextOrDocument = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[Document, Tag("<document>")],
    Discriminator(lambda value: "<text>" if isinstance(value, str) else "<document>"),
]


class RerankBody(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    query: Text = Field(description="What the user says.")
    documents: Annotated[list[TextOrDocument], Field(fail_fast=True)] = Field(
        min_length=1,
        max_length=MOST_CANDIDATES,
        description="What the assistant may answer. One that is too long or empty fails the "
        "request: none is cut.",
    )
    model: str | None = Field(None, description="If given, it must be the one that is served.")
    top_n: int | None = Field(
        None, ge=0, description="How many of the best are wanted; null or 0: all of them."
    )
    return_documents: bool | None = Field(
        None, description="Unset: yes for v1, where Jina's clients count on it, no for v2."
    )
    rank_fields: Annotated[list[Literal["text"]], Field(fail_fast=True)] | None = Field(
        None, description="Nothing else of a document is scored."
    )
    raw_scores: bool | None = Field(
        None, description="Raw logits instead of a sigmoid of the calibrated score."
    )
    use_activation: bool | None = Field(
        None,
        validation_alias=AliasChoices("use_activation", "activation"),
        description="vLLM's name for the same: false for raw logits.",
    )

    @property
    def wants_raw(self) -> bool:
        return bool(self.raw_scores) or self.use_activation is False

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(one if isinstance(one, str) else one.text for one in self.documents)

    def to_ask(self) -> ScoringRequest:
        return ask_for(self.query, self.texts)


def ask_for(
    query: str, texts: tuple[str, ...], over_length: OverLength = "error"
) -> ScoringRequest:
    """The query is the user's and each text an answer of the assistant's."""
    return ScoringRequest((chats((Message("user", query),), texts),), over_length=over_length)


class Result(BaseModel):
    index: int = Field(description="Place among the documents of the request.")
    relevance_score: float
    document: Document | None = None


class ApiVersion(BaseModel):
    version: Literal["1", "2"]


class Meta(BaseModel):
    api_version: ApiVersion


class Usage(BaseModel):
    """`prompt_tokens` is the same number, under the name that vLLM has for it."""

    total_tokens: int
    prompt_tokens: int


class RerankAnswer(BaseModel):
    id: str
    model: str
    results: list[Result] = Field(description="Best first; of equals the earlier goes first.")
    meta: Meta
    usage: Usage


class RerankError(BaseModel):
    message: str


def rerank_error(error: ServiceError, _: int) -> object:
    return RerankError(message=error.message).model_dump()


def results_of(body: RerankBody, scored: ScoringResult, *, with_documents: bool) -> list[Result]:
    """In the order of the raw scores: a sigmoid may make equals of what is not."""
    (items,) = scored.inputs
    texts = body.texts
    return [
        Result(
            index=index,
            relevance_score=relevance(items[index], raw=body.wants_raw),
            document=Document(text=texts[index]) if with_documents else None,
        )
        for index in rank(items)[: body.top_n or None]
    ]
