"""Conversation -> text, through the checkpoint's own chat template. The only template code."""

from collections.abc import Iterator
from contextlib import contextmanager
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
    """What this room needs of a transformers tokenizer."""

    @property
    def backend_tokenizer(self) -> Tokenizer: ...

    def apply_chat_template(self, conversation: list[dict[str, str]], *, tokenize: bool) -> object:
        """Render the conversation; text when `tokenize` is false."""


class PromptingTokenizer(ChatTokenizer, Protocol):
    """A tokenizer whose template can ask for an answer, as whoever samples has it ask."""

    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        *,
        tokenize: bool,
        add_generation_prompt: bool = False,
    ) -> object: ...


def render(tokenizer: ChatTokenizer, conversation: Conversation) -> str:
    """Text of a whole conversation, without a generation prompt.

    Raises:
        Unencodable: the template raised, for example because roles do not alternate.
    """
    turns = [message._asdict() for message in conversation]
    with _refusals():
        text = tokenizer.apply_chat_template(turns, tokenize=False)
    assert isinstance(text, str)
    return text


def render_request(tokenizer: PromptingTokenizer, conversation: Conversation) -> str:
    """Text of all turns before an answer, with what asks the model for one. Raises as `render`."""
    turns = [message._asdict() for message in conversation]
    with _refusals():
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert isinstance(text, str)
    return text


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except TemplateError as error:
        raise Unencodable(f"the chat template refuses this conversation: {error}") from error
