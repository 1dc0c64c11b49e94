"""What vLLM's pooling server is asked: texts, token ids, a conversation, or pairs."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AliasChoices, Discriminator, Field, Tag, model_validator

from reward_model.text.chat import Conversation, Message
from reward_model.text.encoding import Rendered
from service.routes.shared.body_types import TextOrTexts, Texts, Tolerant, Turns, conversation
from service.scheduling.queue import Priority
from service.scoring.types import (
    Chat,
    Item,
    OverLength,
    ScoringRequest,
    TokenIds,
    chats,
)
from service.settings import MOST_CANDIDATES

_ALL_THAT_FIT = -1

_IdList = Annotated[list[int], Field(min_length=1, fail_fast=True)]
_IdLists = Annotated[list[_IdList], Field(min_length=1, max_length=MOST_CANDIDATES, fail_fast=True)]


def _shape(value: object) -> str:
    if not isinstance(value, list):
        return "<text>"
    first = value[0] if value else ""
    if isinstance(first, list):
        return "<id lists>"
    return "<ids>" if isinstance(first, int) else "<list>"


Items = Annotated[
    Annotated[str, Tag("<text>")]
    | Texts
    | Annotated[_IdList, Tag("<ids>")]
    | Annotated[_IdLists, Tag("<id lists>")],
    Discriminator(_shape),
]
"""One or several, as texts or as token ids."""


def _keeps_some(tokens: int) -> int:
    if tokens < _ALL_THAT_FIT or tokens == 0:
        raise ValueError("must be at least 1, or -1 for as many as the model takes")
    return tokens


class _Options(Tolerant):
    model: str | None = Field(None, description="If given, it must be the one that is served.")
    priority: int = Field(0, description="Above 0, it runs when no interactive work waits.")
    use_activation: bool | None = Field(
        None, description="true: the sigmoid of the raw logit. Otherwise the raw logit."
    )
    activation: bool | None = Field(None, description="Older name of `use_activation`.")
    truncate_prompt_tokens: Annotated[int, AfterValidator(_keeps_some)] | None = Field(
        None,
        description="Keep so many tokens from the end of each item of `input`; -1: as many as the "
        "model takes. By default nothing is cut, and what is too long is refused.",
    )
    truncation_side: Literal["left"] | None = None

    @property
    def squashes(self) -> bool:
        asked = self.activation if self.use_activation is None else self.use_activation
        return bool(asked)

    @property
    def urgency(self) -> Priority:
        return "bulk" if self.priority > 0 else "interactive"


class ItemsRequest(_Options):
    """Of `/classify`, `/pooling` and `/v1/embeddings`."""

    input: Items | None = Field(
        None, description="Rendered texts, in which special tokens are tokens; or token ids."
    )
    messages: Turns | None = Field(
        None, description="Instead of `input`: one conversation, up to the answer that is scored."
    )
    add_special_tokens: bool | None = Field(
        None,
        description="Put before and after each text of `input` what the tokenizer would; by "
        "default true. A chat template writes its own: true is refused with `messages`.",
    )
    encoding_format: Literal["float", "base64"] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.input is None) == (self.messages is None):
            raise ValueError("needs either input or messages, and not both")
        if self.messages:
            if self.messages[-1].role != "assistant":
                raise ValueError("must end messages on the assistant, whose answer is scored")
            if self.add_special_tokens or self.truncate_prompt_tokens is not None:
                raise ValueError(
                    "has messages, which the chat template renders whole: leave out "
                    "add_special_tokens and truncate_prompt_tokens, or send input"
                )
        return self

    def to_ask(self, max_tokens: int) -> ScoringRequest:
        cuts = self.truncate_prompt_tokens
        last = max_tokens if cuts == _ALL_THAT_FIT else cuts
        # What shall be cut may be longer than what is otherwise refused unread.
        over_length: OverLength = "error" if cuts is None else "truncate_prompt"
        return ScoringRequest(tuple(self._entries(last)), self.urgency, over_length=over_length)

    def _entries(self, last: int | None) -> list[tuple[Item, ...]]:
        if self.messages:
            *before, answer = conversation(self.messages)
            return [chats(tuple(before), (answer.content,))]
        assert self.input is not None
        adds = self.add_special_tokens is not False
        return [(_item(text, adds, last),) for text in _listed(self.input)]


class PairsRequest(_Options):
    """Of `/score`: each document is scored as the assistant's answer to its query."""

    queries: TextOrTexts = Field(
        validation_alias=AliasChoices("queries", "text_1"),
        description="One for all documents, or one for each. `text_1` is the same.",
    )
    documents: TextOrTexts = Field(
        validation_alias=AliasChoices("documents", "text_2"),
        description="`text_2` is the same.",
    )

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        queries, documents = len(_texts(self.queries)), len(_texts(self.documents))
        if queries not in (1, documents):
            raise ValueError(
                f"has {queries} queries and {documents} documents: send one query, or as many"
            )
        if self.truncate_prompt_tokens is not None:
            raise ValueError(
                "has truncate_prompt_tokens, and pairs are never cut: leave it out, or send the "
                "rendered texts to /classify"
            )
        return self

    def to_ask(self) -> ScoringRequest:
        queries, documents = _texts(self.queries), _texts(self.documents)
        if len(queries) == 1:
            return ScoringRequest((chats(_asked(queries[0]), tuple(documents)),), self.urgency)
        pairs = zip(queries, documents, strict=True)
        return ScoringRequest(
            tuple(chats(_asked(query), (one,)) for query, one in pairs), self.urgency
        )


class TokenizeRequest(Tolerant):
    """What is tokenized is what would be scored: a conversation without a generation prompt."""

    model: str | None = None
    prompt: str | None = None
    messages: Turns | None = None
    add_special_tokens: bool | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("needs either prompt or messages, and not both")
        if self.messages and self.add_special_tokens:
            raise ValueError(
                "has messages, whose special tokens the chat template writes: leave out "
                "add_special_tokens, or send prompt"
            )
        return self

    def to_item(self) -> Item:
        if self.messages:
            return Chat(conversation(self.messages))
        return Rendered(self.prompt or "", self.add_special_tokens is not False)


def _listed(items: str | list[str] | list[int] | list[list[int]]) -> list[str | list[int]]:
    if isinstance(items, str):
        return [items]
    ids = [item for item in items if isinstance(item, int)]
    return [ids] if ids else [item for item in items if not isinstance(item, int)]


def _item(text: str | list[int], adds_special_tokens: bool, last: int | None) -> Item:
    if isinstance(text, str):
        return Rendered(text, adds_special_tokens, last)
    return TokenIds(tuple(text if last is None else text[-last:]))


def _texts(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _asked(query: str) -> Conversation:
    return (Message("user", query),)
