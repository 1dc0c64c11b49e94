"""Renders conversations by the checkpoint's own chat template. No other code applies templates."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from jinja2.exceptions import TemplateError
from pydantic import JsonValue
from tokenizers import Tokenizer


class Message(NamedTuple):
    """One turn; `role` is one that the template knows, usually system, user or assistant.

    `extra` is the JSON object of what else the template sees of the turn, such as `tool_calls`, or
    `{"content": null}` for a turn without content; as text, so that a message can be hashed.
    """

    role: str
    content: str
    extra: str = ""

    def turn(self) -> dict[str, JsonValue]:
        """The turn as the template sees it."""
        extra = json.loads(self.extra) if self.extra else {}
        return {"role": self.role, "content": self.content, **extra}


Conversation = tuple[Message, ...]
"""Turns in order; the last one is the assistant's answer that is scored."""


@dataclass(frozen=True, slots=True)
class TemplateInputs:
    """What a template sees besides the turns.

    Attributes:
        tools: the JSON list of the tools that the assistant may call; empty for none.
        kwargs: the JSON object of further variables of the template, `documents` among them; empty
            for none.
    """

    tools: str = ""
    kwargs: str = ""
    add_generation_prompt: bool = False


NO_INPUTS = TemplateInputs()

# Parameters of `apply_chat_template` that are no variables of the template.
_RESERVED = {
    *("conversation", "messages", "tools", "chat_template", "add_generation_prompt", "self"),
    *("continue_final_message", "tokenize", "sanitize_control_tokens", "padding", "truncation"),
    *("max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask"),
    "tokenizer_kwargs",
}


_ROLES = frozenset({"system", "user", "assistant", "tool", "developer", "function"})
"""Words that a template's reason may repeat."""

_QUOTED = 4
"""Characters from which a text that stands in a reason is taken for a quotation."""


class Unencodable(ValueError):
    """The checkpoint's template refuses this conversation; the message is for the user."""


class ChatTokenizer(Protocol):
    """The part of a transformers tokenizer that encoding needs."""

    @property
    def backend_tokenizer(self) -> Tokenizer: ...

    @property
    def apply_chat_template(self) -> Callable[..., object]:
        """Renders a conversation; as text if `tokenize` is false."""


def render(
    tokenizer: ChatTokenizer, conversation: Conversation, inputs: TemplateInputs = NO_INPUTS
) -> str:
    """Render a whole conversation.

    Raises:
        Unencodable: the template raised, for example because roles do not alternate.
    """
    variables = json.loads(inputs.kwargs) if inputs.kwargs else {}
    if reserved := sorted(_RESERVED & variables.keys()):
        raise Unencodable(f"{reserved[0]} is no variable of a chat template: leave it out")
    if inputs.tools:
        variables["tools"] = json.loads(inputs.tools)
    if inputs.add_generation_prompt:
        variables["add_generation_prompt"] = True
    turns = [message.turn() for message in conversation]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, **variables)
    except TemplateError as error:
        reason = f": {error}"
        # A template may quote what it refuses, and no message repeats a user's text.
        told = [*(turn.role for turn in conversation), *texts(conversation, inputs)]
        if any(len(one) >= _QUOTED and one not in _ROLES and one in reason for one in told):
            reason = ""
        raise Unencodable(f"the chat template refuses this conversation{reason}") from error
    assert isinstance(text, str)
    return text


def texts(conversation: Conversation, inputs: TemplateInputs = NO_INPUTS) -> list[str]:
    """Every text of a user that the template sees, names of JSON members included."""
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    mapped(note, conversation, inputs)
    return found


def mapped(
    change: Callable[[str], str], conversation: Conversation, inputs: TemplateInputs = NO_INPUTS
) -> tuple[Conversation, TemplateInputs]:
    """The same conversation and inputs with `change` applied to every text of a user."""
    turns = tuple(
        Message(role, change(content), _mapped_json(change, extra))
        for role, content, extra in conversation
    )
    return turns, replace(
        inputs,
        tools=_mapped_json(change, inputs.tools),
        kwargs=_mapped_json(change, inputs.kwargs),
    )


def _mapped_json(change: Callable[[str], str], text: str) -> str:
    def walk(value: JsonValue) -> JsonValue:
        match value:
            case str():
                return change(value)
            case list():
                return [walk(each) for each in value]
            case dict():
                return {change(key): walk(each) for key, each in value.items()}
        return value

    return json.dumps(walk(json.loads(text)), ensure_ascii=False) if text else ""
