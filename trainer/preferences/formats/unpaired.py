"""Unpaired preferences, as in TRL: one answer a row, with a label or a score."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from trainer.pairs.group import group_of
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.preferences.formats.messages import inputs_of, prompt_of, request_of, turns_of
from trainer.tables.record import Record, Unusable, number_of

# Labels of a table of texts, such as CSV.
_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


@dataclass(frozen=True)
class Unpaired:
    """Answers of one prompt are gathered from all rows: the best ones over each worse one.

    Attributes:
        label: true or false, or a number: the higher, the better.
    """

    kind: Literal["unpaired"] = "unpaired"
    prompt: str = "prompt"
    completion: str = "completion"
    label: str = "label"
    model: str = "model"

    merges: ClassVar[bool] = True

    @property
    def columns(self) -> tuple[str, ...]:
        return self.completion, self.label

    def rate(self, record: Record) -> RatedAnswers:
        prompt = request_of(prompt_of(record, self.prompt))
        turns = turns_of(record.get(self.completion), self.completion, "assistant")
        value = record.get(self.label)
        word = str(value).strip().lower()
        rating = _WORDS[word] if word in _WORDS else number_of(record, self.label)
        if rating is None:
            raise Unusable(f"{self.label} is neither true or false nor a number")
        model = str(record.get(self.model) or "")
        answer = RatedAnswer.of(turns, rating, "lower rated", model)
        rated = word not in _WORDS
        return RatedAnswers(prompt, (answer,), group_of(prompt), rated, inputs_of(record))
