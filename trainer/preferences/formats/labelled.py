"""Labelled candidate sets: many solutions of one problem, each right or wrong."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from trainer.pairs.group import group_of
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.tables.record import Record, Unusable, list_of, record_of, text_of


@dataclass(frozen=True)
class Labelled:
    """Any right candidate over any wrong one of the same problem.

    Attributes:
        family: pattern of the part of a model's name that says its family, for `same_model`:
            `[^/]+` takes gpt-4o/cot and gpt-4o/direct for one; the default is the whole name.
    """

    kind: Literal["labelled"] = "labelled"
    prompt: str = "prompt"
    candidates: str = "candidates"
    text: str = "text"
    correct: str = "correct"
    model: str = "model"
    family: str = ".*"

    merges: ClassVar[bool] = True

    @property
    def columns(self) -> tuple[str, ...]:
        return self.prompt, self.candidates

    def judge(self, record: Record) -> RatedAnswers:
        prompt = text_of(record, self.prompt)
        if not prompt.strip():
            raise Unusable("the prompt is empty")
        found = [record_of(each, "a candidate") for each in list_of(record, self.candidates)]
        return RatedAnswers(prompt, tuple(map(self._answer, found)), group_of(prompt))

    def _answer(self, candidate: Record) -> RatedAnswer:
        correct = candidate.get(self.correct)
        if not isinstance(correct, bool | int) or correct not in (0, 1):
            raise Unusable("a candidate is neither correct nor wrong")
        name = re.match(self.family, str(candidate.get(self.model) or ""))
        family = name[0] if name else ""
        return RatedAnswer(text_of(candidate, self.text), float(correct), "wrong", family)
