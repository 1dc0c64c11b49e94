"""Rows of any table, by the names of their columns."""

import json

import pytest

from trainer.feedback.problem import AssertTest, CallTest, StdioTest
from trainer.feedback.readers.plain import Plain
from trainer.tables.record import Record, Unusable

ROW: Record = {"id": 3, "statement": " Add. ", "entry_point": "add"}


def test_every_form_of_a_function_test() -> None:
    tests: list[object] = [
        "assert add(1) == 1",
        {"arguments": [1, "x"], "expected": [None, True], "keywords": {"k": 1.5}},
        {"arguments": "(1, {2})", "expected_expression": "(3,)"},
    ]
    for given in (tests, json.dumps(tests)):  # tables of texts keep lists as JSON
        problem = Plain().read(ROW | {"tests": given})
        assert problem.tests == (
            AssertTest("assert add(1) == 1"),
            CallTest("(1, 'x', )", "[None, True]", "{'k': 1.5}"),
            CallTest("(1, {2})", "(3,)"),
        )
        assert (problem.id, problem.statement, problem.sequences_alike) == ("3", "Add.", True)


def test_scripts_have_texts() -> None:
    tests = [{"stdin": "1\n", "stdout": "2\n"}, {"input": "3", "output": "4"}]
    problem = Plain(problem="script", gold="code").read(
        {"id": "a", "statement": "s", "tests": tests, "code": "print(1)"}
    )
    assert problem.tests == (StdioTest("1\n", "2\n"), StdioTest("3", "4"))
    assert (problem.kind, problem.gold) == ("script", "print(1)")


def test_a_group_and_an_answer() -> None:
    reader = Plain(problem="math", group="book", gold="answer", tests="")
    problem = reader.read({"id": "a", "statement": "s", "book": 7, "answer": "42"})
    assert (problem.group, problem.gold, problem.kind) == ("7", "42", "math")


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        ("[", "tests is no JSON"),
        ({"stdin": ""}, "tests is not a list"),
        ([3], "neither a text"),
        ([{"arguments": [1]}], "what is expected"),
        ([{"arguments": 1, "expected": 1}], "arguments are a list"),
    ],
)
def test_a_test_that_cannot_be_used_says_why(tests: object, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        Plain().read(ROW | {"tests": tests})
