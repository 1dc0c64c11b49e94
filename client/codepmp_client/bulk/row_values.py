"""Values of a row's columns as the server takes them, or the reason why it cannot.

All functions raise `Unscorable`.
"""

import json

from codepmp_client.bulk.tables import Record
from codepmp_client.inputs import Candidate, Message, Prompt

# Members of a candidate that is an object and not a turn, in the order in which they are looked up.
TEXTS = ("text", "content", "completion", "response", "candidate", "code", "solution", "answer")

BODY = "body"
"""Where a line of OpenAI's batch format holds what other rows have as columns."""

# The members of an assistant's turn that the server takes. Others, such as `annotations` of
# OpenAI's answers, are for no chat template.
_TURN = ("content", "name", "tool_calls", "reasoning_content", "reasoning")
_MESSAGE = ("role", "tool_call_id", *_TURN)


class Unscorable(ValueError):
    """A row that cannot be scored; the message quotes no text of it."""


def body_of(record: Record) -> Record:
    """Return the request in a line of OpenAI's batch format."""
    body = record.get(BODY)
    if not isinstance(body, dict):
        raise Unscorable(f"{BODY} is not an object")
    # A body of this server's own route has a list of inputs.
    match body.get("inputs"):
        case None:
            return body
        case [dict() as only]:
            return only
        case _:
            raise Unscorable(f"{BODY}.inputs does not hold exactly one input")


def required(record: Record, name: str) -> object:
    """Return the value of a column. Raises Unscorable if it is absent or null."""
    value = record.get(name)
    if value is None:
        raise Unscorable(f"{name} is missing")
    return value


def is_turns(value: object) -> bool:
    """Return whether the value is a list of messages."""
    return isinstance(value, list) and all(isinstance(e, dict) and "role" in e for e in value)


def prompt_of(value: object, name: str) -> Prompt:
    """A text as it is, or a conversation with what a chat template reads."""
    if isinstance(value, str):
        require_unicode(value, name)
        return value
    if not isinstance(value, list) or not value:
        raise Unscorable(f"{name} is neither a text nor a conversation")
    turns = []
    for turn in value:
        if not isinstance(turn, dict) or not isinstance(turn.get("role"), str):
            raise Unscorable(f"{name} holds a turn without a role")
        # Parquet gives every turn the members of all of them, and null to those that had none.
        turns.append({key: turn[key] for key in _MESSAGE if turn.get(key) is not None})
    require_unicode(turns, name)
    return turns


def tools_of(value: object) -> tuple[Message, ...]:
    """A list of tools, or its JSON; none where it is empty."""
    if not value:
        return ()
    if isinstance(value, str):
        # Tables without a column type for objects of any shape hold them as JSON.
        try:
            value = json.loads(value)
        except ValueError:
            raise Unscorable("tools is not JSON") from None
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        raise Unscorable("tools is not a list of objects")
    return tuple(value)


def answer_of(value: object, field: str | None) -> Candidate:
    """The text of a candidate, or its turn where it is more than text."""
    # Half a surrogate pair is one candidate's error, which the server is not needed for.
    if isinstance(value, str):
        return value
    if is_turns(value):
        assert isinstance(value, list)
        if len(value) != 1:
            raise Unscorable("a candidate holds several turns, and only the last one can be scored")
        (value,) = value
    if not isinstance(value, dict):
        raise Unscorable("a candidate is neither a text nor an object")
    if field is not None:
        text = value.get(field)
        if not isinstance(text, str):
            raise Unscorable(f"a candidate has no text in {field}")
        return text
    turn = {key: value[key] for key in _TURN if value.get(key) is not None}
    if value.get("role") == "assistant" and turn.keys() != {"content"}:
        return turn
    for name in TEXTS:
        if isinstance(text := value.get(name), str):
            return text
    raise Unscorable(f"a candidate has no text in any of {', '.join(TEXTS)}")


def require_unicode(value: object, name: str) -> None:
    """Refuse texts with half a surrogate pair, which no server could be sent."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Unscorable(f"{name} holds half a surrogate pair, which is not Unicode") from None
