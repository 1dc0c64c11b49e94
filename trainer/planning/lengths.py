"""How long the rows of a run are: measured where they are, assumed where they are not."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean

from tokenizers import Tokenizer

from trainer.pairs.row import PreferenceRow, read_pairs, texts
from trainer.pipeline.stage import MANIFEST

_SAMPLE = 500
CHARACTERS_PER_TOKEN = 3.5
"""Of code, with the vocabularies of code models; where no tokenizer is at hand to count."""


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a row's prompt and of each of its answers, and how many rows there are.

    Attributes:
        rivals: rejected answers of a row.
        rows: of the training split; None while nobody knows.
        held_out: rows of each held-out split.
        source: how these are known, for whoever reads the plan.
    """

    prompt: float
    answer: float
    rivals: float
    rows: int | None
    held_out: int
    source: str

    def computed(self, *, with_rejected: bool = True) -> float:
        """TokenCounts of a row, whose prompt is computed once."""
        return self.prompt + self.answer * (1 + self.rivals * with_rejected)

    def seen(self, *, with_rejected: bool = True) -> float:
        """PreferenceRow of a token and one that it attends to, over a row."""
        answers = 1 + self.rivals * with_rejected
        return self.prompt**2 / 2 + answers * (self.prompt * self.answer + self.answer**2 / 2)


def assumed(rivals: float, held_out: int, max_length: int | None) -> Lengths:
    """Of a request of one sentence or two and a function; the paper cuts at 1024 tokens."""
    prompt, answer = 150.0, 250.0
    if max_length is not None and prompt + answer > max_length:
        prompt, answer = max_length * 0.4, max_length * 0.6
    source = f"assumed: prompt {prompt:.0f}, answer {answer:.0f} tokens, {rivals:g} rejected a row"
    return Lengths(prompt, answer, rivals, None, held_out, source)


def measured(folder: Path, tokenizer: Path | None) -> Lengths | None:
    """Of a finished stage of pairs; None when it is not there."""
    if not (folder / MANIFEST).is_file():
        return None
    rows = read_pairs(folder, "train")
    if not rows:
        return None
    sample = Random(0).sample(rows, min(_SAMPLE, len(rows)))
    size = _size(tokenizer)
    rivals = fmean(len(row.rejected) for row in sample)
    return Lengths(
        prompt=fmean(sum(map(size, texts(row)[:-1])) for row in sample),
        answer=fmean(_answer(row, size) for row in sample),
        rivals=rivals,
        rows=len(rows),
        held_out=len(read_pairs(folder, "evaluation")),
        source=f"measured on {len(sample)} rows of {folder.name}, {size.what}",
    )


@dataclass(frozen=True)
class _Size:
    tokenizer: Tokenizer | None
    what: str

    def __call__(self, text: str) -> float:
        if self.tokenizer is None:
            return len(text) / CHARACTERS_PER_TOKEN
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)


def _size(file: Path | None) -> _Size:
    if file is None or not file.is_file():
        return _Size(None, f"at {CHARACTERS_PER_TOKEN} characters a token")
    return _Size(Tokenizer.from_file(str(file)), f"with the tokenizer of {file.parent.name}")


def _answer(row: PreferenceRow, size: _Size) -> float:
    return fmean(map(size, (row.chosen, *(rival.text for rival in row.rejected))))
