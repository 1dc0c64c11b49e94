"""The program in an answer: whole, between prose, or the rest of a function."""

import pytest

from trainer.feedback.answer_code import continued, defines, program_in
from trainer.feedback.problem import Problem

PREFIX = 'def add(a, b):\n    """Add."""\n'
PROBLEM = Problem("1", "1", "function", "Add.", entry_point="add")
BEGUN = Problem("1", "1", "function", PREFIX, entry_point="add", prefix=PREFIX)
WHOLE = "def add(a, b):\n    return a + b"


def test_the_block_that_defines_the_function_is_the_program() -> None:
    example = "print('a long example of how it is called', 1 + 1)"
    answer = f"First:\n```\n{example}\n```\nThen:\n```python\n{WHOLE}\n```\n"
    assert program_in(PROBLEM, answer) == WHOLE


def test_an_answer_without_fences_is_the_program() -> None:
    assert program_in(PROBLEM, f"\n{WHOLE}\n\n") == WHOLE


def test_a_fence_in_a_docstring_or_a_comment_begins_no_block() -> None:
    whole = (
        'def add(a, b):\n    """\n    ```python\n    add(1, 2)\n    ```\n    """\n    return a + b'
    )
    assert program_in(PROBLEM, whole) == whole
    assert program_in(PROBLEM, f"Here:\n```python\n{WHOLE}\n```\n{whole}") == WHOLE


@pytest.mark.parametrize("answer", ["", " \n", "```python\n```"])
def test_an_answer_may_have_no_code(answer: str) -> None:
    assert program_in(PROBLEM, answer) == ""


@pytest.mark.parametrize(
    "rest",
    ["    return a + b\n", "  return a + b", "return a + b", "```\nreturn a + b\n```"],
)
def test_the_rest_of_a_function_is_joined_to_its_prefix(rest: str) -> None:
    program = program_in(BEGUN, rest)
    assert program.startswith(PREFIX)
    names: dict[str, object] = {}
    exec(program, names)  # noqa: S102 (a program of this test)
    add = names["add"]
    assert callable(add)
    assert add(1, 2) == 3


def test_what_cannot_be_mended_is_joined_as_it_is() -> None:
    chain = "    if a: pass\n" + "    elif b: pass\n" * 3000
    assert continued(PREFIX, chain) == PREFIX + chain
    assert continued(PREFIX, "    return (") == PREFIX + "    return ("


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("add = lambda a, b: a + b", True),
        ("from operator import add", True),
        ("from operator import sub as add", True),
        ("if True:\n    def add(): pass", True),
        ("class Solution: pass", False),
        ("print(add(1))", False),
        ("def add(", False),
    ],
)
def test_what_defines_a_name(code: str, expected: bool) -> None:
    assert defines(code, "add") is expected


def test_a_method_is_defined_with_its_class() -> None:
    assert defines("class Solution:\n    def add(self): pass", "Solution.add")
