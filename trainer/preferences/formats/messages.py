"""Conversations in preference data: their messages, and what else a chat template is given."""

import json
from typing import TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError

from reward_model.text.chat import RESERVED_VARIABLES, Conversation, Message, TemplateInputs
from trainer.pairs.row import Request
from trainer.preferences.formats.plain import plain
from trainer.tables.record import Record, Unusable, record_of, text_of

# Columns that hold the turns before an answer in data sets whose prompt has no name of its own.
_CONVERSATIONS = ("conversations", "messages")

# Columns beside a prompt and its answers, in every format that reads messages.
SHARED_COLUMNS = {*_CONVERSATIONS, "system", "history", "tools", "chat_template_kwargs"}

# What a text model cannot be shown.
_MEDIA = ("images", "image", "videos", "video", "audios", "audio")

# ShareGPT's speakers, in its messages of `from` and `value`.
_SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
}

Parsed = TypeVar("Parsed")

_OBJECT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])
_OBJECTS: TypeAdapter[list[dict[str, JsonValue]]] = TypeAdapter(list[dict[str, JsonValue]])


def messages_of(value: object, column: str) -> Conversation:
    """Messages of `{"role", "content"}` or ShareGPT's `{"from", "value"}`: a list, or just one.

    What else a message has, such as tool calls and reasoning, is kept for the template.
    """
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or not value:
        raise Unusable(f"{column} is neither text nor messages")
    if isinstance(value[0], str):
        raise Unusable(
            f"{column} is a list of texts: give messages with their roles, or a row for each text"
        )
    return tuple(_message(record_of(each, f"a message of {column}"), column) for each in value)


def _message(turn: Record, column: str) -> Message:
    # A key without a value is what tables write for a key that is absent in this row.
    extra = {key: value for key, value in turn.items() if value is not None}
    if "role" not in extra and {"from", "value"} <= extra.keys():
        role = _SPEAKERS.get(text_of(extra, "from"))
        if role is None:
            raise Unusable(
                f"a message of {column} has a speaker that is none of {', '.join(_SPEAKERS)}: "
                "give it a role"
            )
        extra |= {"role": role, "content": extra.pop("value")}
        del extra["from"]
    if "role" not in extra:
        raise Unusable(
            f"a message of {column} has neither role and content nor from and value: rename its "
            "keys"
        )
    role, content = text_of(extra, "role"), extra.pop("content", None)
    del extra["role"]
    if isinstance(content, list):
        content = _text_of_parts(content, column)
    if content is None:
        # A turn may consist of tool calls alone.
        if not extra:
            raise Unusable(f"a message of {column} has no calls, and its content is not text")
        extra["content"] = None
        content = ""
    if not isinstance(content, str):
        raise Unusable(f"content of a message of {column} is not text")
    return Message(role, content, json.dumps(extra, ensure_ascii=False, default=str) * bool(extra))


def _text_of_parts(parts: list[object], column: str) -> str:
    texts = []
    for part in parts:
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            raise Unusable(
                f"a message of {column} has parts that are not text: leave such rows out"
            )
        texts.append(text)
    # Some templates write nothing between two parts, others a line end.
    if len(texts) != 1:
        raise Unusable(f"a message of {column} has {len(texts)} parts: join them to one text")
    return texts[0]


def turns_of(value: object, column: str, role: str = "user") -> Conversation:
    """Messages, or one message of this role from a plain text."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if isinstance(value, str):
        return (Message(role, plain(value, column)),)
    return messages_of(value, column)


def follows_prompt(turns: Conversation) -> bool:
    """Whether messages are an answer alone, which begins with the assistant's or a tool's."""
    return turns[0].role in {"assistant", "tool"}


def has_prompt(record: Record, column: str) -> bool:
    """Whether a row has turns before its answers in a column that `prompt_of` reads."""
    return any(record.get(each) is not None for each in (column, *_CONVERSATIONS))


def prompt_of(record: Record, column: str) -> Conversation:
    """The turns before an answer: those of the prompt's column, after `history` and `system`.

    ShareGPT's `conversations` are read where there is no such column.
    """
    if record.get(column) is None:
        column = next((each for each in _CONVERSATIONS if record.get(each)), column)
    turns = turns_of(record.get(column), column)
    if column == "instruction" and record.get("input"):
        raise Unusable("the column input belongs to the instruction: join both in one column")
    if history := record.get("history"):
        turns = (*_history(history), *turns)
    return with_system(record, turns)


def _history(value: object) -> Conversation:
    """Earlier turns from pairs of a question and its answer."""
    turns: list[Message] = []
    for pair in value if isinstance(value, list) else [value]:
        match pair:
            case [str(question), str(answer)]:
                turns += [Message("user", question), Message("assistant", answer)]
            case _:
                raise Unusable("history is no list of questions with their answers")
    return tuple(turns)


def with_system(record: Record, turns: Conversation) -> Conversation:
    """The turns after the system prompt that the row has in a column of its own, if it has one."""
    system = record.get("system")
    if not isinstance(system, str) or not system.strip():
        return turns
    if turns and turns[0].role == "system":
        if turns[0].content != system:
            raise Unusable("the column system and the messages have two system prompts: give one")
        return turns
    return (Message("system", plain(system, "system")), *turns)


def inputs_of(record: Record) -> TemplateInputs:
    """Return what TRL gives the template besides messages: `tools` and `chat_template_kwargs`.

    Either may be written as JSON, because the columns of a table have one type.
    """
    if media := next((column for column in _MEDIA if record.get(column)), None):
        raise Unusable(f"the row has {media}, and the model reads text alone: leave such rows out")
    tools = _parsed(record, "tools", _OBJECTS, "a list of objects")
    variables = _parsed(record, "chat_template_kwargs", _OBJECT, "an object")
    if reserved := sorted(RESERVED_VARIABLES & set(variables or ())):
        # The encoder would refuse the row, and training would stop there.
        raise Unusable(
            f"chat_template_kwargs has {reserved[0]}, no variable of a template: leave it out"
        )
    return TemplateInputs(
        tools=json.dumps(tools, ensure_ascii=False) if tools else "",
        kwargs=json.dumps(variables, ensure_ascii=False) if variables else "",
    )


def _parsed(record: Record, column: str, shape: TypeAdapter[Parsed], what: str) -> Parsed | None:
    """Return the value of a column, given as it is or as JSON text; None where it is empty."""
    value = record.get(column)
    try:
        parsed = shape.validate_json(value) if isinstance(value, str) and value else value
        return shape.validate_python(parsed) if parsed else None
    except ValidationError:
        raise Unusable(f"{column} is not {what}") from None


def request_of(turns: Conversation) -> Request:
    """All turns; a single message of a user is plain text, as everywhere in the trainer."""
    if not turns or turns[-1].role == "assistant":
        raise Unusable("no question before the answer")
    last = turns[-1]
    # The result of a tool may well be empty.
    if last.role != "tool" and not last.content.strip():
        raise Unusable("the prompt is empty")
    return last.content if turns == (Message("user", last.content),) else turns


def parted(
    chosen: Conversation, rejected: Conversation
) -> tuple[Request, Conversation, Conversation]:
    """Two whole conversations -> the request that both have, and the turns of their answers."""
    if {chosen[-1].role, rejected[-1].role} != {"assistant"}:
        raise Unusable("the last turn is not the assistant's")
    shortest = min(len(chosen), len(rejected)) - 1
    length = next((n for n in range(shortest) if chosen[n] != rejected[n]), shortest)
    # Where results of tools differ, the call that they answer belongs to the answers.
    while length and chosen[length - 1].role == "assistant":
        length -= 1
    answers = chosen[length:], rejected[length:]
    if any(
        turns[0].role != "assistant" or {turn.role for turn in turns} - {"assistant", "tool"}
        for turns in answers
    ):
        raise Unusable("the conversations differ before their last turn")
    return request_of(chosen[:length]), *answers
