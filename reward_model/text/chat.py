"""Renders conversations by the checkpoint's own chat template. No other code applies templates."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple, Protocol

from pydantic import JsonValue
from tokenizers import Tokenizer

from reward_model.text.template import Unencodable as Unencodable
from reward_model.text.template import render_template


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
    """The variables that a template sees besides the turns.

    Attributes:
        tools: the JSON list of the tools that the assistant may call; empty for none.
        kwargs: the JSON object of further variables of the template, `documents` among them; empty
            for none.
    """

    tools: str = ""
    kwargs: str = ""
    add_generation_prompt: bool = False


NO_INPUTS = TemplateInputs()

# Names that are no variables of a template: parameters of `apply_chat_template`, as transformers
# calls what renders it, and what the sandbox itself gives.
RESERVED_VARIABLES = {
    *("conversation", "messages", "tools", "chat_template", "add_generation_prompt", "self"),
    *("continue_final_message", "tokenize", "sanitize_control_tokens", "padding", "truncation"),
    *("max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask"),
    *("tokenizer_kwargs", "strftime_now", "raise_exception", "namespace", "range", "dict"),
}

ROLES = frozenset({"system", "user", "assistant", "tool", "developer", "function"})
"""Roles that every template is made for."""

_QUOTED = 4
"""Characters from which a text that stands in a reason is taken for a quotation."""

SAYING_KEYS = ("reasoning_content", "reasoning", "thinking", "tool_calls", "function_call")
"""Keys by which an assistant's turn says something beside its content."""

_ASKS_FOR_NULL = re.compile(r"\bcontent\b['\"]?\]?\s+is\s+(not\s+)?none\b", re.IGNORECASE)

# Names under which reasoning is passed. transformers gives it to templates under the first too.
_REASONING = ("reasoning_content", "thinking", "reasoning")


class ChatTokenizer(Protocol):
    """The part of a transformers tokenizer that encoding needs."""

    @property
    def backend_tokenizer(self) -> Tokenizer: ...

    @property
    def special_tokens_map(self) -> Mapping[str, str]:
        """Names of special tokens, as templates know them, and the tokens."""

    def get_chat_template(
        self, chat_template: str | None = None, tools: list[dict[str, JsonValue]] | None = None
    ) -> str:
        """The source of the template, which may be another one where there are tools."""


def render(
    tokenizer: ChatTokenizer,
    conversation: Conversation,
    inputs: TemplateInputs = NO_INPUTS,
    day: date | None = None,
) -> str:
    """Render a whole conversation as transformers does, which cannot be told the date.

    Args:
        day: today, as far as the template sees; None leaves it to the template's own fallback.

    Raises:
        Unencodable: the template refuses it, for example because roles do not alternate.
    """
    tools = json.loads(inputs.tools) if inputs.tools else None
    kwargs = json.loads(inputs.kwargs) if inputs.kwargs else {}
    if reserved := sorted(RESERVED_VARIABLES & kwargs.keys()):
        raise Unencodable(f"{reserved[0]} is no variable of a chat template: leave it out")
    # A template that asks whether a content is none, as DeepSeek's do of calls, has to see that it
    # is; any other would write the word None.
    keeps_null = bool(_ASKS_FOR_NULL.search(template_of(tokenizer, inputs)))
    variables: dict[str, JsonValue] = {
        "documents": None,
        **tokenizer.special_tokens_map,
        **kwargs,
        "messages": [_turn(message, keeps_null) for message in conversation],
        "tools": tools,
        "add_generation_prompt": inputs.add_generation_prompt,
    }
    try:
        return render_template(template_of(tokenizer, inputs), variables, day)
    except Unencodable as error:
        reason = str(error)
        # A template may quote what it refuses, and no message repeats a user's text.
        told = [*(turn.role for turn in conversation), *texts(conversation, inputs)]
        if any(len(one) >= _QUOTED and one not in ROLES and one in reason for one in told):
            raise Unencodable("the chat template refuses this conversation") from error
        raise


def template_of(tokenizer: ChatTokenizer, inputs: TemplateInputs = NO_INPUTS) -> str:
    """The source of the template that renders such inputs."""
    try:
        return tokenizer.get_chat_template(tools=json.loads(inputs.tools) if inputs.tools else None)
    except ValueError as error:
        raise Unencodable("the tokenizer has no chat template named default") from error


def _turn(message: Message, keeps_null: bool) -> JsonValue:
    """The turn as the template sees it: without what is null, and reasoning by all its names.

    Args:
        keeps_null: let the template see a content that is null.
    """
    turn: dict[str, JsonValue] = {
        name: value
        for name, value in message.turn().items()
        if value is not None or (keeps_null and name == "content")
    }
    reasoning = next((turn[name] for name in _REASONING if name in turn), None)
    if reasoning is None:
        return turn
    return {"thinking": reasoning, **turn, "reasoning_content": reasoning}


def texts(conversation: Conversation, inputs: TemplateInputs = NO_INPUTS) -> list[str]:
    """Every text of a user that the template sees, names of JSON members included."""
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    mapped(conversation, inputs, note, note, note)
    return found


def mapped(
    conversation: Conversation,
    inputs: TemplateInputs,
    of_content: Callable[[str], str],
    of_value: Callable[[str], str],
    of_name: Callable[[str], str],
) -> tuple[Conversation, TemplateInputs]:
    """The same conversation and inputs with every text of a user changed.

    Args:
        of_content: changes the contents of turns.
        of_value: changes the texts in what else the template sees.
        of_name: changes the names of members there.
    """

    def walk_json(text: str) -> str:
        if not text:
            return ""
        return json.dumps(_walk(json.loads(text), of_value, of_name), ensure_ascii=False)

    turns = tuple(
        Message(role, of_content(content), walk_json(extra))
        for role, content, extra in conversation
    )
    tools, kwargs = walk_json(inputs.tools), walk_json(inputs.kwargs)
    return turns, replace(inputs, tools=tools, kwargs=kwargs)


def _walk(
    value: JsonValue, of_value: Callable[[str], str], of_name: Callable[[str], str]
) -> JsonValue:
    # A function inside of `mapped` would refer to itself, and keep the texts until a collection.
    match value:
        case str():
            return of_value(value)
        case list():
            return [_walk(each, of_value, of_name) for each in value]
        case dict():
            return {of_name(name): _walk(each, of_value, of_name) for name, each in value.items()}
    return value
