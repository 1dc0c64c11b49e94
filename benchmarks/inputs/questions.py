"""MBPP problems as questions with eight answers, of which one is right."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.inputs.mbpp import Problem, normalise, passes
from trainer.pairs.mutants import mutants

CANDIDATES = 8
REFERENCE, MUTANT, STRANGER = "reference", "mutant", "other problem"
_MOST_MUTANTS = 4
_TRIED_MUTANTS = 16


@dataclass(frozen=True)
class Question:
    """Candidates of one problem in the order in which they are sent; `kinds` beside them.

    Exactly one candidate is the reference. Every other one fails the problem's asserts.
    """

    problem: int
    prompt: str
    candidates: tuple[str, ...]
    kinds: tuple[str, ...]


def make_questions(problems: list[Problem], count: int, seed: int) -> Iterator[Question]:
    """The first `count` problems, shuffled by `seed`, whose reference passes and has a mutant."""
    shuffled = random.Random(seed).sample(problems, len(problems))
    made = 0
    for problem in shuffled:
        if made == count:
            return
        # A generator for each problem: what is drawn for one depends on no other.
        rng = random.Random(f"{seed} {problem.id}")
        wrong = failing_mutants(problem, seed) if passes(problem.reference, problem) else []
        if wrong:
            made += 1
            yield _question(problem, wrong, _strangers(problem, problems, rng), rng)


def failing_mutants(problem: Problem, seed: int) -> list[str]:
    """Up to four mutants of the reference, each of which fails the problem's asserts when run."""
    found: list[str] = []
    for mutant in mutants(problem.reference, _TRIED_MUTANTS, f"{seed} {problem.id}"):
        text = normalise(mutant)
        if text not in (problem.reference, *found) and not passes(text, problem):
            found.append(text)
        if len(found) == _MOST_MUTANTS:
            break
    return found


def _strangers(problem: Problem, problems: list[Problem], rng: random.Random) -> Iterator[str]:
    """Distinct references of other problems in random order, without those that solve this one.

    Some problems of MBPP are in it twice, in the same words.
    """
    seen = {problem.reference}
    for other in rng.sample(problems, len(problems)):
        known = other.prompt == problem.prompt or other.reference in seen
        if not known and not passes(other.reference, problem):
            seen.add(other.reference)
            yield other.reference


def _question(
    problem: Problem, wrong: list[str], strangers: Iterator[str], rng: random.Random
) -> Question:
    answers = [(REFERENCE, problem.reference), *((MUTANT, text) for text in wrong)]
    answers += [(STRANGER, next(strangers)) for _ in range(CANDIDATES - len(answers))]
    rng.shuffle(answers)
    kinds, candidates = zip(*answers, strict=True)
    return Question(problem.id, problem.prompt, candidates, kinds)
