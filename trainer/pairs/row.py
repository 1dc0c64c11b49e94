"""Preference rows, which every maker of pairs writes and every training run reads."""

from dataclasses import dataclass
from pathlib import Path

from reward_model.text.chat import Conversation, Message
from trainer.pipeline.shards import read_shards, write_shards

# In this order: a group that two sources claim goes to the later split.
SPLITS = ("train", "calibration", "evaluation")


Request = str | Conversation
"""A request: a user's one message, or all turns before the answer."""


@dataclass(frozen=True)
class Rejected:
    """A rejected answer.

    Attributes:
        kind: how it was made, or what is wrong with it.
        margin: by how much the chosen answer is known to be better, on the scale of its source; 0
            when nobody rated them.
    """

    kind: str
    text: str
    margin: float = 0.0


@dataclass(frozen=True)
class PreferenceRow:
    """The pairs of one request: its chosen answer against each of its rejected ones.

    Attributes:
        group: unit of hold-out and of resampling: a package, a repository, a problem. All its rows
            are on one side of a split.
        source: the data set that it is from, when several are mixed.
        weight: factor of its pairs in the losses.
    """

    id: str
    group: str
    prompt: Request
    chosen: str
    rejected: tuple[Rejected, ...]
    source: str = ""
    weight: float = 1.0


def texts(row: PreferenceRow) -> list[str]:
    """The texts of every turn of a row's request, and of its chosen answer."""
    return [message.content for message in conversation(row.prompt, row.chosen)]


def turns(request: Request) -> Conversation:
    """The messages of a request in either of its two forms."""
    return (Message("user", request),) if isinstance(request, str) else request


def conversation(request: Request, answer: str) -> Conversation:
    """A request with its answer: the one shape in which the trainer shows text to the model."""
    return (*turns(request), Message("assistant", answer))


def read_pairs(folder: Path, split: str) -> list[PreferenceRow]:
    """All pairs of one split of a finished stage."""
    return read_shards(folder, split, PreferenceRow)


def write_pairs(folder: Path, split: str, rows: list[PreferenceRow], size: int) -> None:
    """Shards of at most `size` rows."""
    write_shards(folder, split, rows, size)
