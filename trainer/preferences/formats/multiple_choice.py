"""Multiple choice (ReClor, LogiQA 2.0, AR-LSAT ...): the correct option over each wrong one."""

import re
from dataclasses import dataclass
from string import ascii_uppercase
from typing import ClassVar, Literal

from trainer.pairs.group import group_of
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.tables.record import Record, Unusable, list_of, text_of

_LETTERED = re.compile(r"\s*\(?([A-Z])[).:]\s+")


@dataclass(frozen=True)
class MultipleChoice:
    """The request is passage and question, as in arXiv 2410.02229; options are the answers.

    All questions on one passage are one group.

    Attributes:
        answer: index of the correct option from 0, or its letter.
    """

    kind: Literal["multiple_choice"] = "multiple_choice"
    passage: str = "context"
    question: str = "question"
    options: str = "answers"
    answer: str = "label"

    merges: ClassVar[bool] = False

    @property
    def columns(self) -> tuple[str, ...]:
        return self.passage, self.question, self.options, self.answer

    def rate(self, record: Record) -> RatedAnswers:
        passage = text_of(record, self.passage).strip()
        question = text_of(record, self.question).strip()
        prompt = "\n\n".join(filter(None, [passage, question]))
        if not prompt:
            raise Unusable("neither passage nor question")
        options = unlettered(list_of(record, self.options), self.options)
        key = record[self.answer]
        if isinstance(key, str) and len(key) == 1 and key in ascii_uppercase:
            key = ascii_uppercase.index(key)
        if isinstance(key, str) and key.isdecimal():
            key = int(key)
        if isinstance(key, bool) or not isinstance(key, int):
            raise Unusable("no answer key")
        if not 0 <= key < len(options):
            raise Unusable("the answer key is none of the options")
        answers = (
            RatedAnswer(text, float(n == key), "wrong option") for n, text in enumerate(options)
        )
        return RatedAnswers(prompt, tuple(answers), group_of(passage or question))


def unlettered(options: list[object], column: str) -> list[str]:
    """The options without their letters, because the letter of an option is no part of it."""
    texts = [each for each in options if isinstance(each, str)]
    if len(texts) != len(options):
        raise Unusable(f"{column} are not all text")
    heads = [_LETTERED.match(text) for text in texts]
    letters = "".join(head[1] for head in heads if head)
    # Without the letters A, B, C ... in order, what looks like a letter belongs to the text.
    if letters != ascii_uppercase[: len(texts)]:
        return texts
    return [text[head.end() :] for text, head in zip(texts, heads, strict=True) if head]
