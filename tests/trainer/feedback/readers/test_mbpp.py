"""MBPP's rows become problems with their official split, entry point and signature."""

import pytest

from trainer.feedback.problem import AssertTest
from trainer.feedback.readers.mbpp import Mbpp
from trainer.tables.record import Record, Unusable

ROW: Record = {
    "task_id": 11,
    "text": "Add two numbers.",
    "code": "def helper(x):\r\n  return x\r\ndef add(a, b=2):\r\n  return helper(a) + b",
    "test_setup_code": "",
    "test_list": ["assert int(add(1, 2)) == 3", "assert add(5)==7 "],
    "challenge_test_list": ["assert add(0, 0) == 0"],
}


def test_a_row_becomes_a_function_with_its_asserts() -> None:
    problem = Mbpp().read(ROW)
    assert problem is not None
    assert (problem.id, problem.statement) == ("mbpp/11", "Add two numbers.")
    assert (problem.entry_point, problem.signature) == ("add", "def add(a, b=2):")
    assert "\r" not in problem.gold
    assert problem.tests == (
        AssertTest("assert int(add(1, 2)) == 3"),
        AssertTest("assert add(5)==7"),
    )


def test_challenge_tests_count_on_request() -> None:
    problem = Mbpp(challenge_tests=True).read(ROW)
    assert problem is not None
    assert len(problem.tests) == 3


def test_a_row_of_the_sanitized_file() -> None:
    row = {name: value for name, value in ROW.items() if name not in ("text", "test_setup_code")}
    problem = Mbpp().read(row | {"prompt": "Add them.", "test_imports": ["import math"]})
    assert problem is not None
    assert (problem.statement, problem.setup) == ("Add them.", "import math")


def test_tests_get_the_classes_and_imports_that_they_expect_of_the_answer() -> None:
    code = "import sys, math\nimport re\nclass Base: pass\nclass Node(Base): pass\n"
    tests = ["assert add(Node()) == sys.maxsize"]
    problem = Mbpp().read(ROW | {"code": code + str(ROW["code"]), "test_list": tests})
    assert problem is not None
    assert problem.setup == (
        "import sys, math\n\nclass Base:\n    pass\n\nclass Node(Base):\n    pass"
    )


def test_splits_are_the_official_ones() -> None:
    def split_of(number: int) -> list[str]:
        return [
            split
            for split in ("prompt", "test", "validation", "train")
            if Mbpp(split=split).read(ROW | {"task_id": number}) is not None
        ]

    assert [split_of(number) for number in (1, 10, 11, 510, 511, 600, 601, 974)] == [
        [split] for split in ("prompt", "test", "validation", "train") for _ in range(2)
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"code": "def add(:"}, "the reference code is no Python"),
        ({"test_list": ["assert True"]}, "calls no function"),
        ({"test_list": []}, "no tests"),
        ({"test_list": "assert add(1) == 3"}, "test_list is not a list"),
        ({"task_id": None}, "task_id is no id"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(change: Record, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        Mbpp().read(ROW | change)
