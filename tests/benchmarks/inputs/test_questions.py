"""The questions of the ranking benchmark: one right answer each, and only that one."""

import pytest

from benchmarks.inputs.mbpp import Problem, passes
from benchmarks.inputs.questions import CANDIDATES, MUTANT, REFERENCE, make_questions

_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight"]
_PROBLEMS = [
    Problem(
        id=number,
        prompt=f"Add {word}.",
        reference=f"def add_{word}(x):\n    return x + {number}",
        setup="",
        asserts=(f"assert add_{word}(5) == 5 + {number}",),
    )
    for number, word in enumerate(_WORDS)
]
_UNSOLVED = Problem(90, "Add.", "def add(x):\n    return x", "", ("assert add(5) == 6",))
_REWORDED = Problem(91, "Add one.", "def plus_one(y):\n    return 1 + y", "", ("assert True",))
_REWRITTEN = Problem(92, "Increment.", "def add_one(y):\n    return 1 + y", "", ("assert True",))


def test_one_candidate_is_right_and_all_others_fail_its_asserts() -> None:
    (question,) = make_questions(_PROBLEMS, 1, seed=1)
    problem = _PROBLEMS[question.problem]
    right = question.kinds.index(REFERENCE)
    assert question.candidates[right] == problem.reference
    assert len(set(question.candidates)) == CANDIDATES
    assert 1 <= question.kinds.count(MUTANT) <= 4
    assert [passes(text, problem) for text in question.candidates].index(True) == right
    assert sum(passes(text, problem) for text in question.candidates) == 1


def test_the_seed_decides_the_questions() -> None:
    first, again = (list(make_questions(_PROBLEMS, 2, seed=3)) for _ in range(2))
    assert first == again
    assert first != list(make_questions(_PROBLEMS, 2, seed=4))


def test_a_problem_whose_reference_fails_asks_nothing() -> None:
    assert not list(make_questions([_UNSOLVED], 1, seed=1))


@pytest.mark.parametrize("twin", [_REWORDED, _REWRITTEN], ids=["same words", "same behaviour"])
def test_another_solution_of_the_same_request_is_no_wrong_answer(twin: Problem) -> None:
    for seed in range(4):
        questions = make_questions([*_PROBLEMS[1:5], twin], 4, seed)
        question = next(question for question in questions if question.problem == 1)
        assert twin.reference not in question.candidates
