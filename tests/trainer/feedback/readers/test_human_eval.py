"""`check` is divided into its asserts, each with what prepares it."""

import pytest

from trainer.feedback.problem import AssertTest
from trainer.feedback.readers.human_eval import HumanEval
from trainer.tables.record import Record, Unusable

PROMPT = '''from typing import List

def poly(x): return x


def add(a: int, b: int) -> int:
    """ Add.
    >>> add(1, 2)
    3
    """
'''
TEST = '''
METADATA = {"author": "x"}

def check(candidate):
    """All of them."""
    assert candidate(1, 2) == 3, "first"
    assert True, "nothing"
    base = 5
    for i in range(3):
        assert candidate(base, i) == base + i
    assert candidate(base, 1) == 6

check(add)
'''
ROW: Record = {
    "task_id": "HumanEval/7",
    "prompt": PROMPT,
    "entry_point": "add",
    "canonical_solution": "    return a + b\n",
    "test": TEST,
}


def test_each_assert_is_a_test_with_what_prepares_it() -> None:
    problem = HumanEval().read(ROW)
    assert problem.tests == (
        AssertTest("assert add(1, 2) == 3, 'first'"),
        AssertTest("base = 5\nfor i in range(3):\n    assert add(base, i) == base + i"),
        AssertTest("base = 5\nassert add(base, 1) == 6"),
    )
    assert problem.prefix == PROMPT
    assert problem.gold == PROMPT + "    return a + b\n"
    assert problem.signature == "def add(a: int, b: int) -> int:"


def test_tests_may_use_imports_and_helpers_of_the_prompt_and_not_the_entry_point() -> None:
    setup = HumanEval().read(ROW).setup
    assert "from typing import List" in setup
    assert "def poly" in setup
    assert "METADATA" not in setup  # what a test defines may tell what is expected
    assert "def add" not in setup
    assert "check" not in setup


def test_a_helper_of_the_test_goes_to_the_tests_that_need_it() -> None:
    helper = "def close(a, b):\n    assert abs(a - b) < 1\n\n"
    body = "def check(f):\n    unused = f(1, 1)\n    close(f(1, 2), 3)\n    assert f(0, 0) == 0\n"
    tests = HumanEval().read(ROW | {"test": helper + body}).tests
    assert tests == (
        AssertTest("def close(a, b):\n    assert abs(a - b) < 1\nclose(add(1, 2), 3)"),
        AssertTest("assert add(0, 0) == 0"),
    )


def test_a_function_within_check_is_tested_by_its_calls() -> None:
    """Its definition alone would be passed by everything, and its calls by nobody asked."""
    body = "def check(f):\n    def one(n):\n        assert f(n, 0) == n\n    one(1)\n    one(2)\n"
    body += "    kept = one(3)\n    assert f(0, 0) == 0\n"
    defined = "def one(n):\n    assert add(n, 0) == n"
    assert HumanEval().read(ROW | {"test": body}).tests == (
        AssertTest(f"{defined}\none(1)"),
        AssertTest(f"{defined}\none(2)"),
        AssertTest(f"{defined}\nkept = one(3)"),
        AssertTest("assert add(0, 0) == 0"),
    )


def test_calls_of_check_are_no_part_of_a_test() -> None:
    calls = "\ndef test_check():\n    check(add)\n\ntest_check()\n"
    test = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
    assert HumanEval().read(ROW | {"test": test + calls}).tests == (
        AssertTest("assert add(1, 2) == 3"),
    )


def test_a_rest_that_is_indented_otherwise_is_indented_anew() -> None:
    assert (
        HumanEval()
        .read(ROW | {"canonical_solution": "  return a + b"})
        .gold.endswith('"""\n    return a + b\n')
    )


def test_a_check_that_returns_stays_whole() -> None:
    test = (
        "def check(candidate):\n    if candidate(1, 1) != 2:\n        return\n    assert candidate"
    )
    (only,) = HumanEval().read(ROW | {"test": test}).tests
    assert isinstance(only, AssertTest)
    assert only.code.startswith("def check():\n    if add(1, 1) != 2:")
    assert only.code.endswith("check()")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"entry_point": "other"}, "does not begin the entry point"),
        ({"prompt": "def add(:"}, "the prompt is no Python"),
        ({"test": "assert add(1, 2) == 3"}, "does not define check"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(change: Record, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        HumanEval().read(ROW | change)
