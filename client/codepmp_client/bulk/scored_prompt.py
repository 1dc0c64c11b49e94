"""One prompt with its scored candidates, from a row with a list of them or from rows with one."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from codepmp_client.bulk.tables import Record, Row
from codepmp_client.bulk.tally import Tally

PROMPT_COLUMNS = ("messages", "prompt")
CANDIDATE_COLUMNS = ("candidate", "response", "completion")
"""Where a row with one candidate may have its text."""


class UnreadableRow(Exception):
    """A row lacks a column, or holds something else in it than it should."""


@dataclass(frozen=True, slots=True)
class ScoredCandidate:
    """A candidate that has a score.

    Attributes:
        index: its position among all candidates of the prompt, also those without a score.
        row: the columns of the row that it stands in.
        label: how right it is, from 0 to 1; None if it is not known.
    """

    text: str
    score: float
    index: int
    row: Record
    label: float | None = None


@dataclass(frozen=True, slots=True)
class ScoredPrompt:
    """A prompt and its candidates that have a score.

    Attributes:
        prompt: a user's message, or the messages of a conversation.
        row: the first of its rows, or the only one.
    """

    prompt: str | list[object]
    candidates: list[ScoredCandidate]
    row: Row


def has_list(row: Record) -> bool:
    """Tell whether all candidates of a prompt are in this row."""
    return "candidates" in row


def prompt_of(row: Record) -> str | list[object]:
    """Return the row's prompt: its `messages`, or its `prompt`, which may be messages, too.

    Raises:
        UnreadableRow: there is none.
    """
    for name in PROMPT_COLUMNS:
        match row.get(name):
            case str(prompt):
                return prompt
            case list(messages) if messages:
                return messages
    raise UnreadableRow("it has neither a prompt nor messages")


@dataclass(frozen=True)
class ScoredColumns:
    """Which columns hold scores and labels; None is where `codepmp-score rows` leaves them.

    Attributes:
        scores: of lists as long as `candidates`, or of single numbers.
        labels: likewise; None takes `correct` of the candidate, if it has that.
    """

    scores: str | None = None
    labels: str | None = None

    def read(self, rows: Sequence[Row], tally: Tally) -> ScoredPrompt:
        """Read a row with a list of candidates, or all rows of a prompt that have one each.

        Candidates without a score are left out, and counted.

        Raises:
            UnreadableRow: a column is missing or holds something else than it should.
        """
        scored = []
        index = 0
        for row in rows:
            record = row.record
            read = self._list if has_list(record) else self._single
            for text, score, label in read(record):
                if score is None or not math.isfinite(score):
                    tally.candidates_left_out["no score"] += 1
                elif not text.strip():
                    tally.candidates_left_out["empty text"] += 1
                else:
                    scored.append(ScoredCandidate(text, score, index, record, label))
                index += 1
        return ScoredPrompt(prompt_of(rows[0].record), scored, rows[0])

    def _list(self, row: Record) -> Iterator[tuple[str, float | None, float | None]]:
        """Text, score and label of each candidate of a row."""
        candidates = row["candidates"]
        if not isinstance(candidates, list):
            raise UnreadableRow("its candidates are no list")
        scores = _beside(candidates, row, self.scores or "scores")
        if self.labels is not None:
            labels = _beside(candidates, row, self.labels)
        else:
            labels = [
                each.get("correct") if isinstance(each, Mapping) else None for each in candidates
            ]
        for candidate, score, label in zip(candidates, scores, labels, strict=True):
            yield _text(candidate), _number(score, "a score"), _number(label, "a label")

    def _single(self, row: Record) -> Iterator[tuple[str, float | None, float | None]]:
        for name in CANDIDATE_COLUMNS:
            if name in row:
                score = _number(_value(row, self.scores or "score"), "the score")
                label = row.get("correct") if self.labels is None else _value(row, self.labels)
                yield _text(row[name]), score, _number(label, "the label")
                return
        raise UnreadableRow(f"it has none of candidates, {', '.join(CANDIDATE_COLUMNS)}")


def _value(row: Record, column: str) -> object:
    if column not in row:
        raise UnreadableRow(f"it has no column {column!r}; `codepmp-score rows` writes the scores")
    return row[column]


def _beside(candidates: list[object], row: Record, column: str) -> list[object]:
    values = _value(row, column)
    if not isinstance(values, list) or len(values) != len(candidates):
        raise UnreadableRow(f"its {column} are no list of {len(candidates)}, as its candidates are")
    return values


def _text(candidate: object) -> str:
    """Return a candidate's text; an object has it as `text` or `content`."""
    match candidate:
        case None:
            return ""
        case str(text) | {"text": str(text)} | {"content": str(text)}:
            return text
        case [*steps] if all(isinstance(step, str) for step in steps):
            return "".join(map(str, steps))
    raise UnreadableRow("a candidate is no text")


def _number(value: object, what: str) -> float | None:
    match value:
        case None:
            return None
        case bool() | int() | float():
            return float(value)
    raise UnreadableRow(f"{what} is no number")
