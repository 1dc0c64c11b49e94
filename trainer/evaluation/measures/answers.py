"""The final answer of a solution in prose, and which solutions agree on theirs."""

import re
from collections.abc import Sequence
from itertools import combinations
from typing import Protocol

from trainer.evaluation.measures.votes import NO_ANSWER

# GSM8K's `#### 18`, and the `A: 18` of models that were finetuned on it.
MARKED = re.compile(r"(?im)^\s*(?:####|A:|answer:)\s*(\S.*?)\s*$")

# An unmarked answer is looked for in this many characters from the end: parsing a whole solution
# is slow and finds numbers of the way there.
TAIL_CHARACTERS = 300


class Judge(Protocol):
    """Decides which answer a text ends in, and which answers are the same."""

    def extract(self, passages: Sequence[str]) -> dict[str, str]:
        """The answer that each passage ends in; empty if it has none."""

    def same(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bool]:
        """Whether the two answers of each pair are the same."""


class TextJudge:
    """Takes the whole text for the answer; answers are the same if their texts are equal."""

    def extract(self, passages: Sequence[str]) -> dict[str, str]:
        return {passage: passage.strip() for passage in passages}

    def same(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bool]:
        return {(left, right): left == right for left, right in pairs}


def marked(text: str) -> str | None:
    r"""The content of the last `\boxed{}`, or else of the last line marked as the answer."""
    opening = "\\boxed{"
    start = text.rfind(opening)
    depth = 0
    # Braces inside the box are kept together; an unclosed box holds nothing.
    for index in range(start + len(opening) - 1, len(text)) if start >= 0 else ():
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            if boxed := text[start + len(opening) : index].strip():
                return boxed
            break
    lines = MARKED.findall(text)
    return lines[-1] if lines else None


def tail(text: str) -> str:
    """The end of a text, where an unmarked answer is looked for."""
    return text[-TAIL_CHARACTERS:]


def agreeing(texts: Sequence[Sequence[str]], judge: Judge) -> list[tuple[int, ...]]:
    """For each question, the class of each of its texts: an index from 0, or `NO_ANSWER`."""
    found = judge.extract(list(dict.fromkeys(text for solutions in texts for text in solutions)))
    return classes_of([[found[text] for text in solutions] for solutions in texts], judge)


def classes_of(answers: Sequence[Sequence[str]], judge: Judge) -> list[tuple[int, ...]]:
    """For each question, the class of each of its final answers, as `agreeing` gives it.

    An answer joins the first class whose first answer equals its own. That decides also where the
    judge's equality is not transitive: 50 % may equal both 50 and 0.5.
    """
    distinct = [list(dict.fromkeys(filter(None, each))) for each in answers]
    # All questions' comparisons go to the judge at once, which may run them side by side.
    pairs = [pair for each in distinct for pair in combinations(each, 2)]
    same = judge.same(list(dict.fromkeys(pairs)))
    classes = []
    for question_answers, question_distinct in zip(answers, distinct, strict=True):
        leaders: list[str] = []
        class_of: dict[str, int] = {}
        for answer in question_distinct:
            equal = (i for i, leader in enumerate(leaders) if same[leader, answer])
            class_of[answer] = next(equal, len(leaders))
            if class_of[answer] == len(leaders):
                leaders.append(answer)
        classes.append(tuple(class_of.get(answer, NO_ANSWER) for answer in question_answers))
    return classes
