"""Exercises of the study: rows of pairs to finetune on, by problem, and held-out questions."""

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.inputs.labelled import (
    is_mixed,
    read_options,
    read_sampled,
    read_solved,
    short_only,
)
from trainer.evaluation.question import Question, text_of
from trainer.pairs.row import PreferenceRow, Rejected

CODE, ARITHMETIC, LOGIC = "MBPP", "GSM8K", "LogicalDeduction"
FAMILY = "openai"
"""Of GSM8K's solutions: GPT-3 finetuned on GSM8K, 6B and 175B, alone and chosen by a verifier."""

MOST_CHARACTERS = {CODE: 800, ARITHMETIC: 500, LOGIC: 500}
"""Longest answer, in characters: long ones take most of the time."""

_MOST_REJECTED = 3
"""Wrong answers of a row: they share its prompt and its right answer, so few are enough."""

_QUESTIONS_PER_PROBLEM = 2
"""Held-out questions about one passage, of which there is one answer each in the other tasks."""


@dataclass(frozen=True)
class Limits:
    """How much is held out: problems of each task, and candidates of each."""

    problems: int
    candidates: int


@dataclass(frozen=True)
class Exercise:
    """A task: problems to finetune on and questions to test on, none of them of one problem.

    Attributes:
        what: for the page: what is ranked, and who says what is right.
        train: the rows of each problem.
    """

    name: str
    what: str
    train: list[list[PreferenceRow]]
    test: list[Question]

    @property
    def fingerprint(self) -> str:
        """A hash of all that is trained and tested on."""
        return hashlib.sha256(repr((self.train, self.test)).encode()).hexdigest()[:16]


def draw(exercise: Exercise, pairs: int, seed: int) -> list[PreferenceRow]:
    """A row of every problem before the second row of any, until there are so many pairs.

    A larger draw of the same seed begins with the smaller one. There are fewer when the exercise
    has no more.
    """
    shuffled = random.Random(f"{exercise.name} {seed}").sample(exercise.train, len(exercise.train))
    found: list[PreferenceRow] = []
    for turn in range(max(map(len, shuffled), default=0)):
        for rows in shuffled:
            if turn < len(rows) and pairs:
                found.append(replace(rows[turn], rejected=rows[turn].rejected[:pairs]))
                pairs -= len(found[-1].rejected)
    return found


def of_samples(train: Sequence[Sequence[Path]], test: Sequence[Path], limits: Limits) -> Exercise:
    """Programs that a language model sampled, each judged by running its problem's tests.

    Args:
        train, test: stages of problems, samples and pass counts; several triples to train on.

    Raises:
        ValueError: some problems are in both.
    """
    held_out = _shortened(CODE, read_sampled(test, CODE))
    known = {question.group for question in held_out}
    merged: dict[str, Question] = {}
    for triple in train:
        for question in _shortened(CODE, read_sampled(triple, CODE)):
            if question.group in known:
                raise ValueError(f"{question.group} is to be trained on and to be tested")
            # Of a problem that two stages have sampled, the message of the first one is kept.
            first = merged.setdefault(question.group, question)
            if first is not question:
                merged[question.group] = replace(
                    first,
                    answers=first.answers + question.answers,
                    correct=first.correct + question.correct,
                )
    what = (
        "programs that a language model sampled, right if they pass the problem's own asserts when "
        "they are run"
    )
    tested = _tested(held_out, limits)
    return Exercise(CODE, what, _rows(merged.values()), tested)


def of_solutions(data: Path, limits: Limits) -> Exercise:
    """Solutions of GSM8K by one family of models, right by the answer; divided by problem."""
    what = (
        "solutions of GSM8K by one family of models (GPT-3 finetuned on it in two sizes, as "
        "sampled and as chosen by a verifier), right by the answer"
    )
    questions = read_solved(data, FAMILY, ARITHMETIC)
    # The family has four solutions of a problem, and a best of four needs all of them.
    return _divided(ARITHMETIC, what, questions, limits, least=4)


def of_options(file: Path, limits: Limits) -> Exercise:
    """The right option over a wrong one, as in the paper's tasks of reading and logic."""
    what = (
        "the right one of up to 7 statements about an order of objects against the wrong ones: the "
        "options are the candidates"
    )
    return _divided(LOGIC, what, read_options(file, LOGIC), limits)


def _divided(
    name: str, what: str, questions: list[Question], limits: Limits, least: int = 2
) -> Exercise:
    """Hold out problems that have a question with at least so many candidates."""
    usable = [question for question in _shortened(name, questions) if is_mixed(question)]
    groups = sorted({each.group for each in usable if len(each.answers) >= least})
    held_out = set(random.Random(name).sample(groups, min(limits.problems, len(groups))))
    tested = [each for each in usable if each.group in held_out]
    trained = [each for each in usable if each.group not in held_out]
    return Exercise(name, what, _rows(trained), _tested(tested, limits))


def _shortened(name: str, questions: list[Question]) -> list[Question]:
    return [short_only(question, MOST_CHARACTERS[name]) for question in questions]


def _tested(questions: Iterable[Question], limits: Limits) -> list[Question]:
    """The first candidates of questions that have right and wrong ones, of so many problems."""
    by_group: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        # The first ones, whatever they are: a choice by label would change what chance is.
        first = question.only(range(min(limits.candidates, len(question.answers))))
        if is_mixed(first):
            by_group[question.group].append(first)
    drawn = random.Random("held out").sample(sorted(by_group), min(limits.problems, len(by_group)))
    return [each for group in sorted(drawn) for each in by_group[group][:_QUESTIONS_PER_PROBLEM]]


def _rows(questions: Iterable[Question]) -> list[list[PreferenceRow]]:
    """A row for each different right answer, with the next few of the wrong ones in turn."""
    problems: dict[str, list[PreferenceRow]] = defaultdict(list)
    for question in questions:
        labelled = dict(zip(map(text_of, question.answers), question.correct, strict=True))
        wrong = [Rejected("wrong", text) for text, right in labelled.items() if not right]
        for number, text in enumerate(text for text, right in labelled.items() if right):
            start = number * _MOST_REJECTED
            rivals = [wrong[(start + k) % len(wrong)] for k in range(len(wrong))]
            row = PreferenceRow(
                f"{question.id} {number}",
                question.group,
                question.prompt,
                text,
                tuple(rivals[:_MOST_REJECTED]),
                question.source,
            )
            if rivals:
                problems[question.group].append(row)
    return list(problems.values())
