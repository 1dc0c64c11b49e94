"""Preference rows, which every maker of pairs writes and every training run reads."""

import json
from dataclasses import dataclass
from pathlib import Path

from reward_model.text.chat import NO_INPUTS, SAYING_KEYS, Conversation, Message, TemplateInputs
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
        turns: its messages, where it is more than one text of the assistant's: with calls of tools
            and their results, or with reasoning.
    """

    kind: str
    text: str
    margin: float = 0.0
    turns: Conversation = ()


@dataclass(frozen=True)
class PreferenceRow:
    """The pairs of one request: its chosen answer against each of its rejected ones.

    Attributes:
        group: unit of hold-out and of resampling: a package, a repository, a problem. All its rows
            are on one side of a split.
        source: the data set that it is from, when several are mixed.
        weight: factor of its pairs in the losses.
        chosen_turns: messages of the chosen answer, as in `Rejected.turns`.
        inputs: what the template is given beside messages, such as the tools that may be called.
        aspect: the criterion by which the chosen answer is better; empty for none of its own.
    """

    id: str
    group: str
    prompt: Request
    chosen: str
    rejected: tuple[Rejected, ...]
    source: str = ""
    weight: float = 1.0
    chosen_turns: Conversation = ()
    inputs: TemplateInputs = NO_INPUTS
    aspect: str = ""


def texts(row: PreferenceRow) -> list[str]:
    """The texts of every turn of a row's request, and of its chosen answer."""
    return [message.content for message in conversation(row.prompt, row.chosen, row.chosen_turns)]


def turns(request: Request) -> Conversation:
    """The messages of a request in either of its two forms."""
    return (Message("user", request),) if isinstance(request, str) else request


def conversation(request: Request, answer: str, answer_turns: Conversation = ()) -> Conversation:
    """A request with its answer: the one shape in which the trainer shows text to the model."""
    return (*turns(request), *(answer_turns or (Message("assistant", answer),)))


def answer_text(answer_turns: Conversation) -> str:
    """One text of an answer's messages, by which answers are compared and measured.

    Calls of tools and reasoning are part of it: an answer of calls alone is not empty.
    """
    parts: list[str] = []
    for turn in answer_turns:
        extra = json.loads(turn.extra) if turn.extra else {}
        said = {key: extra[key] for key in SAYING_KEYS if extra.get(key)}
        parts += [turn.content, json.dumps(said, ensure_ascii=False) if said else ""]
    return "\n".join(part for part in parts if part)


def read_pairs(folder: Path, split: str) -> list[PreferenceRow]:
    """All pairs of one split of a finished stage."""
    return read_shards(folder, split, PreferenceRow)


def write_pairs(folder: Path, split: str, rows: list[PreferenceRow], size: int) -> None:
    """Shards of at most `size` rows."""
    write_shards(folder, split, rows, size)
