"""Requests as text and as token ids, through the checkpoint's own template and tokenizer."""

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from benchmarks.inputs.corpus import Writer, read_corpus
from benchmarks.inputs.traces import Request
from reward_model.packing import Sequence, new_tokens
from reward_model.release.checkpoint import load_tokenizer
from reward_model.release.release import open_release
from reward_model.text.chat import Conversation, Message, render
from reward_model.text.encoding import Encoder


@dataclass(frozen=True)
class Texts:
    """A request, and each of its conversations rendered and encoded."""

    request: Request
    rendered: tuple[str, ...]
    sequences: tuple[Sequence, ...]

    @property
    def tokens(self) -> int:
        """Tokens of all conversations; a shared prompt counts as often as it occurs."""
        return sum(len(sequence.ids) for sequence in self.sequences)

    @property
    def computed(self) -> int:
        """Tokens of the request's prefix tree: a shared prompt counts once."""
        return sum(new_tokens(list(self.sequences)))


@dataclass(frozen=True)
class Renderer:
    """Renders for servers that take flat texts what our service renders itself."""

    tokenizer: PreTrainedTokenizerBase
    encoder: Encoder

    def texts(self, request: Request) -> Texts:
        conversations = [_conversation(request.prompt, text) for text in request.candidates]
        return Texts(
            request,
            tuple(render(self.tokenizer, conversation) for conversation in conversations),
            tuple(self.encoder.encode(conversation) for conversation in conversations),
        )

    def writer(self, data: Path) -> Writer:
        """Real text whose length counts in this checkpoint's tokens."""
        return Writer(read_corpus(data), self.tokenizer.backend_tokenizer)


def load_renderer(model: Path) -> Renderer:
    """The renderer of a checkpoint or a release.

    Raises:
        ReleaseError: it is neither, or has no chat template.
    """
    release = open_release(model)
    tokenizer = load_tokenizer(release)
    encoder = Encoder(tokenizer, max_tokens=release.max_tokens, pad_id=None)
    return Renderer(tokenizer, encoder)


def _conversation(prompt: str, candidate: str) -> Conversation:
    return (Message("user", prompt), Message("assistant", candidate))
