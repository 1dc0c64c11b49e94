"""Stepwise supervision, as in TRL: an answer in steps, and for each whether it is right."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from trainer.pairs.group import group_of
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.preferences.formats.plain import plain_text_of
from trainer.tables.record import Record, Unusable, list_of


@dataclass(frozen=True)
class Stepwise:
    """Answers of one prompt are gathered from all rows: each right one over each wrong one.

    An answer is right if all its steps are, and wrong if one is and the last is not right. One that
    ends right after a wrong step is neither; it is left out and counted. A label may be null, as
    after an error, but an answer without any wrong step needs all of them.

    Attributes:
        separator: joins the steps to the answer.
    """

    kind: Literal["stepwise"] = "stepwise"
    prompt: str = "prompt"
    completions: str = "completions"
    labels: str = "labels"
    separator: str = "\n"

    merges: ClassVar[bool] = True

    @property
    def columns(self) -> tuple[str, ...]:
        return self.prompt, self.completions, self.labels

    def rate(self, record: Record) -> RatedAnswers:
        prompt = plain_text_of(record, self.prompt)
        steps: list[str] = []
        for step in list_of(record, self.completions):
            if not isinstance(step, str):
                raise Unusable(f"{self.completions} holds a step that is not text")
            steps.append(step)
        labels = list_of(record, self.labels)
        if not steps or len(labels) != len(steps):
            raise Unusable(f"{self.labels} is not one label for each step")
        # Data sets have true and 1, and null where a step has no label.
        if not all(label is None or label in (0, 1) for label in labels):
            raise Unusable("a label is neither true nor false")
        if False not in labels and None in labels:
            raise Unusable("no step is wrong, and one has no label")
        if False in labels and labels[-1]:
            raise Unusable("right at the end, after a step that was judged wrong")
        answer = RatedAnswer(
            self.separator.join(steps), float(False not in labels), "wrong solution"
        )
        return RatedAnswers(prompt, (answer,), group_of(prompt))
