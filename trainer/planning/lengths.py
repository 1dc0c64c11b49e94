"""Mean lengths of a run's rows: measured if the rows exist, assumed otherwise."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean

from tokenizers import Tokenizer

from trainer.pairs.row import read_pairs, texts
from trainer.pipeline.stage import MANIFEST

_SAMPLE = 500
# For code with the vocabularies of code models, when there is no tokenizer to count with.
CHARACTERS_PER_TOKEN = 3.5


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a row's prompt and of each of its answers, and how many rows there are.

    Attributes:
        rejected: number of rejected answers of a row.
        rows: rows of the training split; None if they do not exist yet.
        held_out: rows of each held-out split.
        source: how these numbers are known, for the reader of the plan.
    """

    prompt: float
    answer: float
    rejected: float
    rows: int | None
    held_out: int
    source: str

    def computed(self, *, with_rejected: bool = True) -> float:
        """Tokens of a row that are computed; its prompt is computed once."""
        return self.prompt + self.answer * (1 + self.rejected * with_rejected)

    def seen(self, *, with_rejected: bool = True) -> float:
        """Pairs of a token and a token that it attends to, over a row.

        A causal text of n tokens has n^2 / 2; each answer also attends to the whole prompt.
        """
        answers = 1 + self.rejected * with_rejected
        return self.prompt**2 / 2 + answers * (self.prompt * self.answer + self.answer**2 / 2)


def assumed(rejected: float, held_out: int, max_length: int | None) -> Lengths:
    """Lengths of a short request and of a function. The paper cuts a pair at 1,024 tokens."""
    prompt, answer = 150.0, 250.0
    if max_length is not None and prompt + answer > max_length:
        prompt, answer = max_length * 0.4, max_length * 0.6
    source = (
        f"assumed: prompt {prompt:.0f}, answer {answer:.0f} tokens, {rejected:g} rejected a row"
    )
    return Lengths(prompt, answer, rejected, None, held_out, source)


def measured(folder: Path, tokenizer: Path | None) -> Lengths | None:
    """Mean lengths of a finished stage of pairs; None when it has not finished or has no rows."""
    if not (folder / MANIFEST).is_file():
        return None
    rows = read_pairs(folder, "train")
    if not rows:
        return None
    sample = Random(0).sample(rows, min(_SAMPLE, len(rows)))
    if tokenizer is not None and tokenizer.is_file():
        encoder = Tokenizer.from_file(str(tokenizer))
        method = f"with the tokenizer of {tokenizer.parent.name}"

        def tokens(text: str) -> float:
            return len(encoder.encode(text, add_special_tokens=False).ids)
    else:
        method = f"at {CHARACTERS_PER_TOKEN} characters a token"

        def tokens(text: str) -> float:
            return len(text) / CHARACTERS_PER_TOKEN

    answers = [[row.chosen, *(one.text for one in row.rejected)] for row in sample]
    return Lengths(
        prompt=fmean(sum(map(tokens, texts(row)[:-1])) for row in sample),
        answer=fmean(fmean(map(tokens, each)) for each in answers),
        rejected=fmean(len(row.rejected) for row in sample),
        rows=len(rows),
        held_out=len(read_pairs(folder, "evaluation")),
        source=f"measured on {len(sample)} rows of {folder.name}, {method}",
    )
