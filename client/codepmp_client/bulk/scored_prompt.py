"""One prompt with its scored candidates, from a row with a list of them or from rows with one."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codepmp_client.bulk.columns import Columns, RowInput
from codepmp_client.bulk.row_values import Unscorable
from codepmp_client.bulk.tables import Record
from codepmp_client.bulk.tally import Tally
from codepmp_client.inputs import Candidate, Message, Prompt


@dataclass(frozen=True, slots=True)
class RatedRow:
    """A row of a file with scores; its lists are as long as its candidates.

    Attributes:
        listed: whether these are all candidates of the prompt.
        labels: how right each candidate is, from 0 to 1; None where that is not known.
        kept: the columns that the output has, too.
    """

    number: int
    listed: bool
    input: RowInput
    scores: Sequence[float | None]
    labels: Sequence[float | None]
    kept: Record


@dataclass(frozen=True, slots=True)
class ScoredCandidate:
    """A candidate that has a score.

    Attributes:
        index: its position among all candidates of the prompt, also those without a score.
        kept: columns of the row that it stands in.
    """

    answer: Candidate
    score: float
    index: int
    label: float | None
    kept: Record

    @property
    def text(self) -> str:
        """The answer as one text; a turn that calls tools as JSON."""
        return self.answer if isinstance(self.answer, str) else json.dumps(self.answer)


@dataclass(frozen=True, slots=True)
class ScoredPrompt:
    """A prompt and its candidates that have a score.

    Attributes:
        number: of the first of its rows.
        kept: columns of that row.
    """

    number: int
    prompt: Prompt
    tools: tuple[Message, ...]
    candidates: list[ScoredCandidate]
    kept: Record

    @property
    def is_conversation(self) -> bool:
        """Whether it is more than two texts, so that only messages can hold it."""
        answers = [each.answer for each in self.candidates]
        return not isinstance(self.prompt, str) or not all(isinstance(a, str) for a in answers)

    @classmethod
    def of(cls, rows: Sequence[RatedRow], tally: Tally) -> "ScoredPrompt":
        """Join the rows of a prompt. Candidates without a score are left out and counted."""
        scored = []
        index = 0
        for row in rows:
            for answer, score, label in zip(
                row.input.candidates, row.scores, row.labels, strict=True
            ):
                if score is None or not math.isfinite(score) or isinstance(answer, Unscorable):
                    tally.candidates_left_out["no score"] += 1
                else:
                    scored.append(ScoredCandidate(answer, score, index, label, row.kept))
                index += 1
        first = rows[0]
        return cls(first.number, first.input.prompt, first.input.tools, scored, first.kept)


@dataclass(frozen=True)
class ScoredColumns:
    """Where a table's rows hold prompt, candidates, scores and labels.

    Attributes:
        scores: a list as long as that of the candidates, or a number where a row has one.
        labels: likewise; None takes `correct` of the candidate or of the row, if there is one.
        kept: other columns that are wanted.
    """

    inputs: Columns
    scores: str
    labels: str | None = None
    kept: Sequence[str] = ()

    def read(self, number: int, record: Record) -> RatedRow:
        """Read a row.

        Raises:
            Unscorable: a column is missing or holds something else than it should.
        """
        read = self.inputs.read(record)
        if self.scores not in record:
            raise Unscorable(f"there is no column {self.scores}")
        scores = self._numbers(record[self.scores], self.scores, len(read.candidates))
        if self.labels is not None:
            if self.labels not in record:
                raise Unscorable(f"there is no column {self.labels}")
            labels = self._numbers(record[self.labels], self.labels, len(read.candidates))
        else:
            labels = _numbers_of("correct", self._own_labels(record, len(read.candidates)))
        kept = {name: record.get(name) for name in self.kept}
        return RatedRow(number, self.inputs.listed, read, scores, labels, kept)

    def _numbers(self, value: object, name: str, count: int) -> list[float | None]:
        values = value if self.inputs.listed else [value]
        if value is None:
            # So `codepmp-score rows` leaves a row that it could not read.
            values = [None] * count
        if not isinstance(values, list) or len(values) != count:
            raise Unscorable(f"{name} is no list of {count}, as many as there are candidates")
        return _numbers_of(name, values)

    def _own_labels(self, record: Record, count: int) -> list[object]:
        if not self.inputs.listed:
            return [record.get("correct")]
        candidates = record.get(self.inputs.candidates or "")
        if not isinstance(candidates, list):
            return [None] * count
        return [each.get("correct") if isinstance(each, Mapping) else None for each in candidates]


def _numbers_of(name: str, values: Sequence[object]) -> list[float | None]:
    numbers: list[float | None] = []
    for value in values:
        if value is not None and not isinstance(value, bool | int | float):
            raise Unscorable(f"{name} holds something that is no number")
        try:
            numbers.append(None if value is None else float(value))
        except OverflowError:
            raise Unscorable(f"{name} holds a number that is too large") from None
    return numbers
