"""Types that the bodies of several dialects share."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from reward_model.text.chat import Conversation, Message
from service.settings import MAX_CANDIDATES

# Tags of unions, here and in the dialects, are written in angle brackets. They stand in the path
# of a validation error, and the brackets tell them from the names of fields.

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[
    list[Text], Field(min_length=1, max_length=MAX_CANDIDATES, fail_fast=True), Tag("<list>")
]


def is_list(value: object) -> str:
    """Return the tag of a value that is either a list or a text."""
    return "<list>" if isinstance(value, list) else "<text>"


TextOrTexts = Annotated[Annotated[Text, Tag("<text>")] | Texts, Discriminator(is_list)]


class Tolerant(BaseModel):
    """A part of a body in which unknown fields are ignored, as the imitated server ignores them."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class ChatTurn(Tolerant):
    role: Literal["system", "user", "assistant", "tool"]
    content: Text


ChatTurns = Annotated[list[ChatTurn], Field(min_length=1, fail_fast=True)]


def conversation(turns: Iterable[ChatTurn]) -> Conversation:
    """Return the turns as the encoder takes them."""
    return tuple(Message(turn.role, turn.content) for turn in turns)
