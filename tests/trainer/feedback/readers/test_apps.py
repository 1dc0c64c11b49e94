"""Rows of APPS's shape become scripts or functions."""

import json

import pytest

from trainer.feedback.problem import CallTest, StdioTest
from trainer.feedback.readers.apps import Apps
from trainer.tables.record import Record, Unusable

CASES = {"inputs": ["1 2\r\n", ["3", "4"]], "outputs": ["3\n", "7"]}
ROW: Record = {
    "problem_id": 4000,
    "question": "Add.",
    "input_output": json.dumps(CASES),
    "solutions": json.dumps(["print(1)", "print(2)"]),
    "starter_code": "",
}


def test_texts_are_a_scripts_input_and_output() -> None:
    problem = Apps().read(ROW)
    assert (problem.id, problem.kind, problem.gold) == ("4000", "script", "print(1)")
    assert problem.tests == (StdioTest("1 2\n", "3\n"), StdioTest("3\n4", "7"))


@pytest.mark.parametrize("outputs", [[[3], [7]], [3, 7]])
def test_a_name_makes_a_function_whose_outputs_may_be_wrapped(outputs: list[object]) -> None:
    cases = {"fn_name": "add", "inputs": [[1, 2], [3, [4]]], "outputs": outputs}
    problem = Apps().read(ROW | {"input_output": cases})
    assert (problem.entry_point, problem.kind) == ("add", "function")
    assert problem.tests == (CallTest("(1, 2, )", "3"), CallTest("(3, [4], )", "7"))
    assert problem.sequences_alike


def test_starter_code_with_a_class_names_the_method() -> None:
    cases = {"fn_name": "add", "inputs": [[1]], "outputs": [1]}
    starter = "class Solution:\n    def add(self, a):\n        "
    problem = Apps().read(ROW | {"input_output": cases, "starter_code": starter})
    assert problem.entry_point == "Solution.add"
    assert problem.signature == starter.strip()


def test_a_problem_may_have_no_tests() -> None:
    assert Apps().read(ROW | {"input_output": ""}).tests == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"input_output": "{"}, "input_output is no JSON"),
        ({"input_output": {"inputs": ["1"], "outputs": []}}, "numbers of inputs and outputs"),
        ({"input_output": {"inputs": [1], "outputs": [2], "fn_name": "f"}}, "list of its arg"),
        ({"solutions": "3"}, "solutions is not a list"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(change: Record, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        Apps().read(ROW | change)
