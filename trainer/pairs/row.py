"""What every maker of pairs writes and every training run reads."""

from dataclasses import dataclass
from pathlib import Path

from reward_model.text.chat import Conversation, Message
from trainer.pipeline.shards import read_shards, write_shards

SPLITS = ("train", "calibration", "evaluation")


Request = str | Conversation
"""What is asked: a user's one message, or all turns before the answer."""


@dataclass(frozen=True)
class Rejected:
    """A rejected answer and how it was made; `margin` is by how much the chosen one is known to
    be better, on whatever scale its source rates answers, and 0 where nobody rated them."""

    kind: str
    text: str
    margin: float = 0.0


@dataclass(frozen=True)
class PreferenceRow:
    """One request's pairs: its chosen answer against each of its rejected ones.

    Attributes:
        group: unit of hold-out and of resampling: all its rows are on one side of a split. A
            package, a repository, a problem.
        source: the data set it is from, when several are mixed.
        weight: of its pairs in the losses, beside the 1 of others.
    """

    id: str
    group: str
    prompt: Request
    chosen: str
    rejected: tuple[Rejected, ...]
    source: str = ""
    weight: float = 1.0


def texts(row: PreferenceRow) -> list[str]:
    """Of every turn of a row's request, and of its chosen answer."""
    return [message.content for message in conversation(row.prompt, row.chosen)]


def turns(request: Request) -> Conversation:
    """A request's messages, in whichever of its two forms it is."""
    return (Message("user", request),) if isinstance(request, str) else request


def conversation(request: Request, answer: str) -> Conversation:
    """The one shape in which the trainer shows text to the model."""
    return (*turns(request), Message("assistant", answer))


def read_pairs(folder: Path, split: str) -> list[PreferenceRow]:
    """All pairs of one split of a finished stage."""
    return read_shards(folder, split, PreferenceRow)


def write_pairs(folder: Path, split: str, rows: list[PreferenceRow], size: int) -> None:
    """Shards of at most `size` rows."""
    write_shards(folder, split, rows, size)
