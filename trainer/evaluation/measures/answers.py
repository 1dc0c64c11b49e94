"""The final answer of a solution in prose, and which solutions agree on theirs."""

import re
from collections.abc import Sequence
from typing import Protocol

from trainer.evaluation.measures.votes import NO_ANSWER

_MARKED = re.compile(r"(?im)^\s*(?:####|A:|answer:)\s*(\S.*?)\s*$")
"""GSM8K's `#### 18`, and the `A: 18` of models finetuned on it."""

_TAIL = 300
"""Characters from the end in which an answer that nobody marked is looked for."""


class Judge(Protocol):
    """Decides what is written in an answer, and which answers are the same."""

    def extract(self, passages: Sequence[str]) -> dict[str, str]:
        """The answer that each passage ends in; empty where there is none."""

    def same(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bool]:
        """Whether both of a pair are the same answer."""


class TextJudge:
    """An answer is the whole text, and equal to its like alone."""

    def extract(self, passages: Sequence[str]) -> dict[str, str]:
        return {passage: passage.strip() for passage in passages}

    def same(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bool]:
        return {(left, right): left == right for left, right in pairs}


def marked(text: str) -> str | None:
    r"""What the last `\boxed{}` holds, or else the last line that is marked as the answer."""
    if boxed := _last_boxed(text):
        return boxed
    lines = _MARKED.findall(text)
    return lines[-1] if lines else None


def tail(text: str) -> str:
    """Where an answer is that nobody marked."""
    return text[-_TAIL:]


def agreeing(texts: Sequence[Sequence[str]], judge: Judge) -> list[tuple[int, ...]]:
    """For each question, the class of each of its texts: a number, or `NO_ANSWER`.

    A text joins the first class whose first answer equals its own, so that a judge who is not
    transitive (50 % is both 50 and 0.5 to some) still decides.
    """
    found = judge.extract(list(dict.fromkeys(text for of in texts for text in of)))
    answers = [[found[text] for text in of] for of in texts]
    distinct = [list(dict.fromkeys(filter(None, of))) for of in answers]
    pairs = [(a, b) for of in distinct for i, a in enumerate(of) for b in of[i + 1 :]]
    same = judge.same(list(dict.fromkeys(pairs)))
    return [
        tuple(classes.get(answer, NO_ANSWER) for answer in of)
        for of, classes in zip(answers, (_classes(of, same) for of in distinct), strict=True)
    ]


def _classes(distinct: list[str], same: dict[tuple[str, str], bool]) -> dict[str, int]:
    leaders: list[str] = []
    classes: dict[str, int] = {}
    for answer in distinct:
        place = next((i for i, leader in enumerate(leaders) if same[leader, answer]), len(leaders))
        if place == len(leaders):
            leaders.append(answer)
        classes[answer] = place
    return classes


def _last_boxed(text: str) -> str | None:
    """Braces inside are kept together; an unclosed box holds nothing."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth = 0
    for place in range(start + len("\\boxed"), len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start + len("\\boxed{") : place].strip() or None
    return None
