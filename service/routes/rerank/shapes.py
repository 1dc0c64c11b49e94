"""Bodies of `rerank` as Cohere, Jina and vLLM have it: a query and its `documents`."""

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, Discriminator, Field, Tag

from reward_model.text.chat import Message
from service.errors import ServiceError
from service.routes.shared.body_types import Name, Tolerant
from service.routes.shared.criteria import names_and_weights
from service.routes.shared.refused import Refused
from service.routes.shared.relevance import relevance
from service.routes.shared.template_options import PairOptions
from service.scoring.types import ScoringRequest, ScoringResult, chats, rank
from service.settings import MAX_CANDIDATES


class Document(Tolerant):
    text: str


TextOrDocument = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[Document, Tag("<document>")],
    Discriminator(lambda value: "<text>" if isinstance(value, str) else "<document>"),
]


# Jina's and Cohere's servers cut documents, or tell more about them than a score.
_UNCUT = "no text is cut, one that is too long is refused"
_SCORES_ONLY = "the answer holds scores, and nothing else about a document"


class RerankRequest(PairOptions):
    query: str = Field(description="What the user says.")
    documents: Annotated[list[TextOrDocument], Field(fail_fast=True)] = Field(
        min_length=1,
        max_length=MAX_CANDIDATES,
        description="What the assistant may answer. One that is too long or empty fails the "
        "request: none is cut.",
    )
    model: Name | None = Field(None, description="If given, it must be the one that is served.")
    top_n: int | None = Field(
        None, ge=0, description="How many of the best are wanted; null or 0: all of them."
    )
    # Jina's clients read `document.text`, and Cohere's v2 has no such field.
    return_documents: bool | None = Field(
        None, description="Unset: yes for v1, where Jina's clients count on it, no for v2."
    )
    # Cohere's v1 can rank by other fields of a document. Ignoring them would give wrong ranks.
    rank_fields: Annotated[list[Literal["text"]], Field(fail_fast=True)] | None = Field(
        None, description="Nothing else of a document is scored."
    )
    raw_scores: bool | None = Field(
        None, description="Raw logits instead of a sigmoid of the calibrated score."
    )
    use_activation: bool | None = Field(
        None,
        validation_alias=AliasChoices("use_activation", "activation", "softmax"),
        description="vLLM's name for the same: false for raw logits.",
    )
    truncate_prompt_tokens: Annotated[object, Refused(_UNCUT)] = None
    truncation: Annotated[object, Refused(_UNCUT, (False,))] = None
    max_doc_length: Annotated[object, Refused(_UNCUT)] = None
    max_query_length: Annotated[object, Refused(_UNCUT)] = None
    max_chunks_per_doc: Annotated[object, Refused("a document is scored whole, not in chunks")] = (
        None
    )
    relevant_spans: Annotated[object, Refused(_SCORES_ONLY)] = None
    return_embeddings: Annotated[object, Refused(_SCORES_ONLY, (False,))] = None

    # A score between 0 and 1 is the default, because users of rerankers expect one.
    @property
    def wants_raw(self) -> bool:
        return bool(self.raw_scores) or self.use_activation is False

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(one if isinstance(one, str) else one.text for one in self.documents)

    def to_scoring_request(self) -> ScoringRequest:
        """Ask for the score of each document as the assistant's answer to the user's query."""
        items = chats((Message("user", self.query),), self.texts, inputs=self.inputs)
        criteria = names_and_weights(self.criteria)
        return ScoringRequest((items,), self.scoring_priority, criteria=criteria)


class RerankResult(BaseModel):
    index: int = Field(description="Position among the documents of the request.")
    relevance_score: float
    document: Document | None = None


class ApiVersion(BaseModel):
    version: Literal["1", "2"]


class RerankMeta(BaseModel):
    api_version: ApiVersion


class RerankUsage(BaseModel):
    # One number under two names: Jina's clients read `total_tokens`, vLLM's `prompt_tokens`.
    total_tokens: int
    prompt_tokens: int


class RerankResponse(BaseModel):
    id: str
    model: str
    results: list[RerankResult] = Field(description="Best first; ties are broken by index.")
    meta: RerankMeta
    usage: RerankUsage


class RerankError(BaseModel):
    message: str


def rerank_error(error: ServiceError, _status: int) -> object:
    """Shape an error as Cohere does."""
    return RerankError(message=error.message).model_dump()


def rank_documents(
    body: RerankRequest, result: ScoringResult, *, with_documents: bool
) -> list[RerankResult]:
    """Return the best documents in the order of their raw scores."""
    (items,) = result.inputs
    texts = body.texts
    return [
        RerankResult(
            index=index,
            relevance_score=relevance(items[index], raw=body.wants_raw),
            document=Document(text=texts[index]) if with_documents else None,
        )
        # Ordered by raw score: a sigmoid rounds different scores to the same number.
        for index in rank(items)[: body.top_n or None]
    ]
