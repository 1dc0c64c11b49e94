"""Renders conversations by the checkpoint's own chat template. No other code applies templates."""

from typing import NamedTuple, Protocol

from jinja2.exceptions import TemplateError
from tokenizers import Tokenizer


class Message(NamedTuple):
    """One turn; `role` is one that the template knows, usually system, user or assistant."""

    role: str
    content: str


Conversation = tuple[Message, ...]
"""Turns in order; the last one is the assistant's answer that is scored."""


class Unencodable(ValueError):
    """The checkpoint's template refuses this conversation; the message is for the user."""


class ChatTokenizer(Protocol):
    """The part of a transformers tokenizer that encoding needs."""

    @property
    def backend_tokenizer(self) -> Tokenizer: ...

    def apply_chat_template(self, conversation: list[dict[str, str]], *, tokenize: bool) -> object:
        """Render the conversation; as text if `tokenize` is false."""


class PromptingTokenizer(ChatTokenizer, Protocol):
    """A tokenizer whose template can also write a generation prompt."""

    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        *,
        tokenize: bool,
        add_generation_prompt: bool = False,
    ) -> object: ...


def render(tokenizer: ChatTokenizer, conversation: Conversation) -> str:
    """Render a whole conversation, without a generation prompt.

    Raises:
        Unencodable: the template raised, for example because roles do not alternate.
    """
    turns = [message._asdict() for message in conversation]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False)
    except TemplateError as error:
        raise Unencodable(f"the chat template refuses this conversation: {error}") from error
    assert isinstance(text, str)
    return text


def render_request(tokenizer: PromptingTokenizer, conversation: Conversation) -> str:
    """Render the turns before an answer, with a generation prompt. Raises as `render`."""
    turns = [message._asdict() for message in conversation]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise Unencodable(f"the chat template refuses this conversation: {error}") from error
    assert isinstance(text, str)
    return text
