"""What bodies of other servers' dialects share: fields that are not known are left unread."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from reward_model.text.chat import Conversation, Message
from service.settings import MOST_CANDIDATES

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[
    list[Text], Field(min_length=1, max_length=MOST_CANDIDATES, fail_fast=True), Tag("<list>")
]


def is_list(value: object) -> str:
    """The tag of a shape that is a list or a text."""
    return "<list>" if isinstance(value, list) else "<text>"


TextOrTexts = Annotated[Annotated[Text, Tag("<text>")] | Texts, Discriminator(is_list)]


class Tolerant(BaseModel):
    """A body. What it has besides its fields is ignored, because the imitated server ignores it."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Turn(Tolerant):
    role: Literal["system", "user", "assistant", "tool"]
    content: Text


Turns = Annotated[list[Turn], Field(min_length=1, fail_fast=True)]


def conversation(turns: Iterable[Turn]) -> Conversation:
    return tuple(Message(turn.role, turn.content) for turn in turns)
