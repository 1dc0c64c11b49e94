"""Formats that the columns of a file suggest, under their own names or under other usual ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from trainer.preferences.formats.compared import Compared
from trainer.preferences.formats.hh import Hh
from trainer.preferences.formats.labelled import Labelled
from trainer.preferences.formats.math_shepherd import MathShepherd
from trainer.preferences.formats.multiple_choice import MultipleChoice
from trainer.preferences.formats.stepwise import Stepwise
from trainer.preferences.formats.trl import Trl
from trainer.preferences.formats.ultrafeedback import UltraFeedback
from trainer.preferences.formats.unpaired import Unpaired
from trainer.preferences.source import AnyFormat
from trainer.tables.record import Record

# Names that data sets use for the same thing, the most usual ones first.
_PROMPTS = ("prompt", "instruction", "question", "query", "input", "problem")
_PAIRS = (
    ("chosen", "rejected"),
    ("chosen_response", "rejected_response"),
    ("response_chosen", "response_rejected"),
    ("preferred", "dispreferred"),
    ("better", "worse"),
    ("good", "bad"),
    ("accepted", "rejected"),
)
_COMPARED = (
    *(("response_a", "response_b"), ("answer_a", "answer_b"), ("conversation_a", "conversation_b")),
    *(("response_0", "response_1"), ("response_1", "response_2"), ("response1", "response2")),
    *(("answer_0", "answer_1"), ("answer_1", "answer_2"), ("output_1", "output_2")),
)
_WINNERS = ("winner", "preference", "better_response_id", "preferred", "label", "choice")
_LISTS = ("candidates", "completions", "responses", "answers", "outputs")
_TEXTS = ("text", "response", "completion", "content", "answer", "output", "solution")
_LABELS = ("correct", "is_correct", "label", "passed")
_SCORES = ("rating", "score", "fine-grained_score", "overall_score", "reward")
_RATINGS = ("ratings", "scores", "rewards")
_ANSWERS = ("completion", "response", "answer", "output", "candidate")
_PASSAGES = ("context", "passage", "text", "article")
_OPTIONS = ("answers", "options", "choices")
_KEYS = ("label", "answer", "answerKey")


@dataclass(frozen=True)
class FileColumns:
    """The columns of the first rows of a file.

    Attributes:
        named: columns by the fields of formats, where the user has named them.
    """

    rows: list[Record]
    named: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(column for row in self.rows for column in row))

    def suggest(self) -> Iterator[AnyFormat]:
        """Every format whose columns are there; whether it reads the rows is another question."""
        names = set(self.names)
        prompt = self._pick("prompt", _PROMPTS) or "prompt"
        if pair := self._pair("chosen", "rejected", _PAIRS):
            yield self.with_names(Trl(prompt=prompt, chosen=pair[0], rejected=pair[1]))
            yield Hh(chosen=pair[0], rejected=pair[1])
        winner = self._pick("winner", _WINNERS)
        if winner and (pair := self._pair("first", "second", _COMPARED)):
            yield Compared(prompt=prompt, first=pair[0], second=pair[1], winner=winner)
        for column in dict.fromkeys(
            (self.named.get("candidates", ""), self.named.get("completions", ""), *_LISTS)
        ):
            if column in names and (found := self._listed(column, prompt)):
                yield self.with_names(found)
        if prompt in names and (answer := self._pick("completion", _ANSWERS)):
            label = self._pick("label", (*_LABELS, *_SCORES))
            if label and not isinstance(self._first(answer), list):
                yield self.with_names(Unpaired(prompt=prompt, completion=answer, label=label))
        yield from self._of_many_columns(names, prompt)

    def _of_many_columns(self, names: set[str], prompt: str) -> Iterator[AnyFormat]:
        """Formats that are told by their columns alone, because these are so many."""
        stepwise = self.with_names(Stepwise(prompt=prompt))
        shepherd = self.with_names(MathShepherd())
        yield from (each for each in (stepwise, shepherd) if names >= set(each.columns))
        choice = MultipleChoice(
            passage=self._pick("passage", _PASSAGES) or "context",
            question=self._pick("question", ("question",)) or "question",
            options=self._pick("options", _OPTIONS) or "answers",
            answer=self._pick("answer", _KEYS) or "label",
        )
        if names >= set(choice.columns):
            yield choice

    def _listed(self, column: str, prompt: str) -> AnyFormat | None:
        """The format of a column of lists, by the first member of the first one."""
        values = self._first(column)
        first = values[0] if isinstance(values, list) else None
        if isinstance(first, str) and (ratings := self._pick("ratings", _RATINGS)):
            return UltraFeedback(prompt=prompt, completions=column, ratings=ratings)
        if not isinstance(first, dict):
            return None
        text = self._pick("text", [each for each in _TEXTS if each in first])
        if label := self._pick("correct", [each for each in _LABELS if each in first]):
            return Labelled(prompt=prompt, candidates=column, text=text or "text", correct=label)
        if rating := self._pick("rating", [each for each in _SCORES if each in first]):
            text = text or "response"
            return UltraFeedback(prompt=prompt, completions=column, text=text, rating=rating)
        return None

    def with_names(self, found: AnyFormat) -> AnyFormat:
        """The format with the fields that the user has named."""
        own = {each.name for each in fields(found)}
        changed: dict[str, Any] = {
            field: name for field, name in self.named.items() if field in own
        }
        return replace(found, **changed)

    def _pick(self, field: str, usual: Sequence[str]) -> str:
        """The column that is this field, by the user's word or by a usual name; empty for none."""
        members = field in {"text", "correct", "rating"}  # of an object in a column
        there = usual if members else [each for each in usual if each in self.names]
        return self.named.get(field) or next(iter(there), "")

    def _pair(
        self, first: str, second: str, usual: Sequence[tuple[str, str]]
    ) -> tuple[str, str] | None:
        """Two columns that belong together; None where they are not there."""
        named = self.named.get(first), self.named.get(second)
        pairs = [(named[0] or one, named[1] or other) for one, other in usual]
        return next((pair for pair in pairs if set(pair) <= set(self.names)), None)

    def _first(self, column: str) -> object:
        """The first value of a column that is not empty."""
        return next((value for row in self.rows if (value := row.get(column))), None)
