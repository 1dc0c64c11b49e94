"""Types that the bodies of several dialects share."""

import json
from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, JsonValue, Tag
from pydantic.config import JsonDict

from reward_model.text.chat import Conversation, Message
from service.settings import MAX_CANDIDATES

# Tags of unions, here and in the dialects, are written in angle brackets. They stand in the path
# of a validation error, and the brackets tell them from the names of fields.

# With a maximum length, pydantic refuses half a surrogate pair, which no name and no answer that
# repeats it could hold.
Name = Annotated[str, Field(max_length=1000)]
"""A name or an id: anything that is no text to score."""

# Without a minimum length: an empty text is an item's own error, or a turn like any other.
Texts = Annotated[
    list[str], Field(min_length=1, max_length=MAX_CANDIDATES, fail_fast=True), Tag("<list>")
]


def is_list(value: object) -> str:
    """Return the tag of a value that is either a list or a text."""
    return "<list>" if isinstance(value, list) else "<text>"


TextOrTexts = Annotated[Annotated[str, Tag("<text>")] | Texts, Discriminator(is_list)]


class Tolerant(BaseModel):
    """A part of a body in which unknown fields are ignored, as the imitated server ignores them."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


def either(*names: str) -> JsonDict:
    """Return the JSON Schema of an object that has one of these fields."""
    return {"anyOf": [{"required": [name]} for name in names]}


class TextPart(Tolerant):
    type: str = "text"
    text: str | None = None


# Where vLLM finds the text of a part, by the part's type.
_TEXT_OF_PART = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
    "thinking": "thinking",
}


def _join_parts(content: object) -> object:
    """Return a content that is given in parts as one text, with the parts on lines of their own.

    vLLM does the same for templates that expect a text. Parts without a text are left out.
    """
    if not isinstance(content, list):
        return content
    texts = []
    for index, part in enumerate(content):
        if isinstance(part, str):
            texts.append(part)
            continue
        key = _TEXT_OF_PART.get(part.get("type", "text")) if isinstance(part, dict) else None
        text = part.get(key) if key else None
        if not key or not isinstance(text, str | None):
            raise ValueError(f"has a part {index} that is no text, and this model reads text alone")
        if text is not None:
            texts.append(text)
    return "\n".join(texts)


Content = Annotated[
    str | None,
    BeforeValidator(_join_parts, json_schema_input_type=str | list[TextPart | str] | None),
]
"""A turn's text: as it is, in parts, or null for a turn without one, such as a tool call."""


class ChatTurn(Tolerant):
    """A turn. Its further keys, such as `tool_calls`, are the chat template's to read."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    role: str = Field(description="Any that the chat template knows.")
    content: Content = ""

    def to_message(self) -> Message:
        return message(self.role, self.content, self.__pydantic_extra__)


ChatTurns = Annotated[list[ChatTurn], Field(min_length=1, fail_fast=True)]


def message(role: str, content: str | None, extra: dict[str, JsonValue]) -> Message:
    """Return a turn as the encoder takes it; keys that are null count as left out."""
    seen: dict[str, JsonValue] = {key: value for key, value in extra.items() if value is not None}
    if content is None:
        seen["content"] = None
    return Message(role, content or "", to_json(seen))


def to_json(value: JsonValue) -> str:
    """Return a value as the encoder takes it: as JSON text, and empty where there is nothing."""
    return json.dumps(value, ensure_ascii=False) if value else ""


def conversation(turns: Iterable[ChatTurn]) -> Conversation:
    """Return the turns as the encoder takes them."""
    return tuple(turn.to_message() for turn in turns)
