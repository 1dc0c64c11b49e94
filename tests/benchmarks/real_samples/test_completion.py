"""The body of an answer as a completion of a head that is known."""

import pytest

from benchmarks.real_samples.completion import completion_in
from trainer.feedback.answer_code import continued
from trainer.feedback.problem import Problem

HEAD = '''\
from typing import List


def add(a: int, b: int) -> int:
    """ Adds.
    >>> add(1, 2)
    3
    """
'''
PROBLEM = Problem("add", "add", "function", HEAD, entry_point="add", prefix=HEAD)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ("```python\ndef add(a, b):\n    return a + b\n```", "    return a + b"),
        (f"```python\n{HEAD}    c = a + b\n\n    return c\n```", "    c = a + b\n\n    return c"),
        ("def add(a, b): return a + b", "    return a + b"),
        ("def add(a, b):\n  '''It adds.'''\n  return a + b", "    return a + b"),
        (f"```python\n{HEAD}    # Adds.\n    return a + b\n```", "    # Adds.\n    return a + b"),
        (
            "def add(a, b):\n    @cache\n    def c(): return a + b\n    return c()",
            "    @cache\n    def c(): return a + b\n    return c()",
        ),
        (f"```python\n{HEAD}```", "    pass"),
        ("```python\ndef add(a, b):\n    'ä'; return a\n```", "    return a"),
        ("```python\ndef add(a, b):\n    return a +\n```", "    return a +"),
        ("```python\nreturn a + b\n```", "    return a + b"),
        (
            "```python\ndef add(a, b):\n    return 1\n\ndef add(a, b):\n    return 2\n```",
            "    return 2",
        ),
    ],
)
def test_the_body_alone_is_kept(answer: str, body: str) -> None:
    assert completion_in(PROBLEM, answer) == body


def test_a_head_with_its_completion_is_the_program() -> None:
    whole = continued(HEAD, completion_in(PROBLEM, "def add(a, b):\n    return a + b"))
    namespace: dict[str, object] = {}
    exec(whole, namespace)  # noqa: S102 - the text above
    add = namespace["add"]
    assert callable(add)
    assert add(1, 2) == 3
