"""Labelled candidate sets: many solutions of one problem, each right or wrong."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from trainer.pairs.group import group_of
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.preferences.formats.messages import inputs_of, prompt_of, request_of, turns_of
from trainer.tables.record import Record, Unusable, list_of, record_of


@dataclass(frozen=True)
class Labelled:
    """Any right candidate over any wrong one of the same problem.

    Attributes:
        family: pattern that matches the family in a model's name, for `same_model`: with `[^/]+`,
            gpt-4o/cot and gpt-4o/direct are one family. The default matches the whole name.
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

    def rate(self, record: Record) -> RatedAnswers:
        prompt = request_of(prompt_of(record, self.prompt))
        answers = []
        for each in list_of(record, self.candidates):
            candidate = record_of(each, "a candidate")
            correct = candidate.get(self.correct)
            if not isinstance(correct, bool | int) or correct not in (0, 1):
                raise Unusable("a candidate is neither correct nor wrong")
            family = re.match(self.family, str(candidate.get(self.model) or ""))
            turns = turns_of(candidate.get(self.text), self.text, "assistant")
            model = family[0] if family else ""
            answers.append(RatedAnswer.of(turns, float(correct), "wrong", model))
        return RatedAnswers(prompt, tuple(answers), group_of(prompt), inputs=inputs_of(record))
