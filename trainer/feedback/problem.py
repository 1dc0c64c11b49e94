"""Problems that programs or answers solve, with the tests that judge them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.pipeline.shards import read_shards

STEM = "problems"


@dataclass(frozen=True)
class StdioTest:
    """A test of a script: its standard input, and the output that is expected."""

    stdin: str
    stdout: str
    form: Literal["stdio"] = "stdio"


@dataclass(frozen=True)
class CallTest:
    """Arguments of a function and what it must return.

    Attributes:
        arguments, keywords: as in `trainer.feedback.sandbox.types.Input`.
        expected: Python expression of the expected value. It never enters the sandbox together
            with a program.
    """

    arguments: str
    expected: str
    keywords: str = "{}"
    form: Literal["call"] = "call"


@dataclass(frozen=True)
class AssertTest:
    """A statement that calls the entry point and raises if the result is wrong."""

    code: str
    form: Literal["assert"] = "assert"


Test = StdioTest | CallTest | AssertTest


@dataclass(frozen=True)
class Problem:
    """A problem as a policy is asked to solve it.

    Attributes:
        group: unit of hold-out and of resampling; usually the problem itself.
        kind: a script, a function, or a final answer in words and formulas.
        statement: the text of the problem, without its tests.
        entry_point: name of the function that is asked for.
        signature: its `def` line, which the statement may not tell.
        prefix: code that a completion continues, as HumanEval's prompts are.
        setup: source that the tests need, such as imports.
        gold: a reference program, or the reference answer; empty if there is none.
        tests: the given tests; a policy never sees them.
        sequences_alike: a tuple counts as a list of the same elements, because the tests come from
            JSON, which has no tuples.
    """

    id: str
    group: str
    kind: Literal["script", "function", "math"]
    statement: str
    entry_point: str = ""
    signature: str = ""
    prefix: str = ""
    setup: str = ""
    gold: str = ""
    tests: tuple[Test, ...] = ()
    sequences_alike: bool = False


def read_problems(folder: Path) -> list[Problem]:
    """All problems of a finished stage."""
    return read_shards(folder, STEM, Problem)
