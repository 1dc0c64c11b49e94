"""Types that the bodies of several dialects share."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from reward_model.text.chat import Conversation, Message
from service.settings import MAX_CANDIDATES

# Tags of unions, here and in the dialects, are written in angle brackets. They stand in the path
# of a validation error, and the brackets tell them from the names of fields.


def _keep_surrogates(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    """Accept half a surrogate pair, which pydantic refuses in a text of a minimum length.

    Only the item that holds it is at fault, and the encoder says so in the item's own error.
    """
    try:
        return validate(value)
    except ValidationError as refused:
        if any(fault["type"] != "string_unicode" for fault in refused.errors(include_input=False)):
            raise
        return value


Text = Annotated[str, Field(min_length=1), WrapValidator(_keep_surrogates)]

# With a maximum length, pydantic refuses half a surrogate pair, which no name and no answer that
# repeats it could hold.
Name = Annotated[str, Field(max_length=1000)]
"""A name or an id: anything that is no text to score."""

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
