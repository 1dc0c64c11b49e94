"""Nothing of the evaluation sets is trained on: no snippet shares a run of words with them.

Words are those of `trainer.pipeline.sameness`, so that neither layout nor punctuation nor case
hides a copy. GPT-3's report decontaminates by runs of 13 words; so do we by default.
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
        name: under which hits are counted.
        path: a file or a pattern, relative to the work folder; `.gz` and the like are unpacked.
        columns: of JSON Lines: those that hold text, or lists of it, at any depth; none where each
            file is one plain text.
    """

    name: str
    path: str
    columns: tuple[str, ...] = ()


class EvaluationNgrams:
    """All runs of `words` words of all evaluation sets.

    A text of fewer words is protected as one run when it has at least `least` of them, and is
    counted as too short otherwise: "return the sum of a list" is nobody's secret.
    """

    def __init__(self, words: int, least: int) -> None:
        assert words > 0, "a run has a word"
        self._words, self._least = words, min(least, words)
        self._sets: dict[int, dict[str, str]] = {}
        self.facts: dict[str, dict[str, int]] = {}

    def add(self, name: str, texts: Iterable[str]) -> None:
        """A run that two sets have is the first one's."""
        counts: Counter[str] = Counter(texts=0, too_short=0)
        for text in texts:
            counts["texts"] += 1
            words = words_of(text)
            if len(words) < self._least:
                counts["too_short"] += 1
                continue
            length = min(len(words), self._words)
            runs = self._sets.setdefault(length, {})
            for run in _runs(words, length):
                runs.setdefault(run, name)
        self.facts[name] = dict(counts)

    def hit(self, snippet: Snippet) -> str | None:
        """The set that the snippet's code or docstring shares a run with."""
        for words in map(words_of, (snippet.source, snippet.docstring)):
            for length, runs in self._sets.items():
                for run in _runs(words, length):
                    if run in runs:
                        return runs[run]
        return None


def protect(sets: Iterable[EvaluationSet], words: int, least: int, work: Path) -> EvaluationNgrams:
    """Raises StageError where a set's files or columns are not there."""
    protected = EvaluationNgrams(words, least)
    for each in sets:
        texts = list(_texts(each, work))
        if not texts:
            raise StageError(f"evaluation set {each.name}: no text in columns {each.columns}")
        protected.add(each.name, texts)
    return protected


def _texts(evaluation: EvaluationSet, work: Path) -> Iterator[str]:
    for file in find_files(evaluation.path, work):
        if not evaluation.columns:
            with file as stream:
                yield stream.read().decode(errors="replace")
            continue
        for number, row in read_file(file):
            # A set that is read in part would protect in part.
            if isinstance(row, Unusable):
                raise StageError(f"evaluation set {evaluation.name}, line {number}: {row}")
            yield from (t for column in evaluation.columns for t in _strings(row.get(column)))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _runs(words: list[str], length: int) -> Iterator[str]:
    for start in range(len(words) - length + 1):
        yield " ".join(words[start : start + length])
