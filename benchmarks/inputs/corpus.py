"""Real text of the length wanted: GSM8K problems and models' solutions of them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from benchmarks.inputs.candidates import read_solved_problems


@dataclass(frozen=True)
class Corpus:
    """Makes prompts and candidates of real text; no text occurs twice."""

    problems: tuple[str, ...]
    solutions: tuple[str, ...]


def read_corpus(folder: Path) -> Corpus:
    """From `candidates/` of the data folder, or from the folder itself.

    Raises:
        FileNotFoundError: the file is in neither.
    """
    rows = read_solved_problems(folder)
    problems = dict.fromkeys(row["prompt"].strip() for row in rows)
    solutions = dict.fromkeys(c["text"].strip() for row in rows for c in row["candidates"])
    return Corpus(tuple(filter(None, problems)), tuple(filter(None, solutions)))


@dataclass(frozen=True)
class Writer:
    """Writes texts of so many tokens of one tokenizer, alone; a template adds a few."""

    corpus: Corpus
    tokenizer: Tokenizer

    def prompt(self, rng: random.Random, tokens: int) -> str:
        """Problems one after another, cut off where the length is reached."""
        return self._write(rng, self.corpus.problems, tokens)

    def answer(self, rng: random.Random, tokens: int) -> str:
        """A solution cut off at the length wanted, or several that reach it."""
        return self._write(rng, self.corpus.solutions, tokens)

    def _write(self, rng: random.Random, pieces: Sequence[str], tokens: int) -> str:
        text = rng.choice(pieces)
        while len(ends := self._ends(text)) < tokens:
            text += "\n\n" + rng.choice(pieces)
        return text[: ends[tokens - 1]]

    def _ends(self, text: str) -> list[int]:
        """Where each token of the text ends, in characters."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return [end for _, end in encoding.offsets]
