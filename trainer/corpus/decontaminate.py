"""Decontamination: no snippet shares an n-gram of words with an evaluation set.

Words are those of `trainer.pipeline.sameness`, so that neither layout nor punctuation nor case
hides a copy. The default of 13 words is that of the GPT-3 paper (arXiv 2005.14165, appendix C).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.corpus.snippet import Snippet
from trainer.pipeline.sameness import words as words_of
from trainer.pipeline.stage import StageError
from trainer.tables.files import find_files, read_file
from trainer.tables.record import Unusable


@dataclass(frozen=True)
class EvaluationSet:
    """Texts that must not be trained on.

    Attributes:
        name: name under which overlapping snippets are counted.
        path: a file or a pattern, relative to the work folder; `.gz` and the like are unpacked.
        columns: columns of JSON Lines that hold text, or lists of it, at any depth. Without
            columns each file is one plain text.
    """

    name: str
    path: str
    columns: tuple[str, ...] = ()


class EvaluationNgrams:
    """An index of all n-grams of `words` words of all evaluation sets.

    A text of fewer words is one n-gram when it has at least `min_words` of them, and is counted as
    too short otherwise: texts such as "return the sum of a list" occur everywhere.
    """

    def __init__(self, words: int, min_words: int) -> None:
        assert words > 0, "an n-gram has a word"
        self._words, self._min_words = words, min(min_words, words)
        self._by_length: dict[int, dict[str, str]] = {}  # n -> n-gram -> name of its set
        self.facts: dict[str, dict[str, int]] = {}

    def add(self, name: str, texts: Iterable[str]) -> None:
        """Index a set. An n-gram of two sets belongs to the first."""
        counts: Counter[str] = Counter(texts=0, too_short=0)
        for text in texts:
            counts["texts"] += 1
            words = words_of(text)
            if len(words) < self._min_words:
                counts["too_short"] += 1
                continue
            length = min(len(words), self._words)
            known = self._by_length.setdefault(length, {})
            for ngram in ngrams(words, length):
                known.setdefault(ngram, name)
        self.facts[name] = dict(counts)

    def overlap(self, snippet: Snippet) -> str | None:
        """The name of a set that the snippet's code or docstring shares an n-gram with, or None."""
        for text in (snippet.source, snippet.docstring):
            words = words_of(text)
            for length, known in self._by_length.items():
                for ngram in ngrams(words, length):
                    if ngram in known:
                        return known[ngram]
        return None


def ngrams(words: list[str], length: int) -> Iterator[str]:
    for start in range(len(words) - length + 1):
        yield " ".join(words[start : start + length])


def index_evaluation_sets(
    sets: Iterable[EvaluationSet], words: int, min_words: int, work: Path
) -> EvaluationNgrams:
    """Read all sets and index their n-grams.

    Raises:
        StageError: the files of a set are not there, or hold no text: it would protect nothing.
    """
    found = EvaluationNgrams(words, min_words)
    for each in sets:
        texts: list[str] = []
        for file in find_files(each.path, work):
            if not each.columns:
                with file as stream:
                    texts.append(stream.read().decode(errors="replace"))
                continue
            for number, row in read_file(file):
                # A set that is read in part would protect in part.
                if isinstance(row, Unusable):
                    raise StageError(f"evaluation set {each.name}, line {number}: {row}")
                for column in each.columns:
                    texts += strings(row.get(column))
        if not texts:
            raise StageError(
                f"evaluation set {each.name}: no text in columns {', '.join(each.columns)} of "
                f"{each.path}; name the columns that hold it"
            )
        found.add(each.name, texts)
    return found


def strings(value: object) -> Iterator[str]:
    """All strings within a JSON value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)
