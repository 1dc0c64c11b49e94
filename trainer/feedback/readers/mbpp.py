"""MBPP (Austin et al. 2021, arXiv 2108.07732), whole or sanitized: text, code and asserts."""

import ast
import builtins
from dataclasses import dataclass
from typing import Literal

from trainer.feedback.problem import AssertTest, Problem
from trainer.feedback.readers.reader import (
    def_line_of,
    id_of,
    names_in,
    needed,
    optional_text,
    parsed,
    unix,
)
from trainer.tables.record import Record, Unusable, list_of, text_of

# The official splits by task id (arXiv 2108.07732, section 2.1); the first ten are for few-shot
# prompts.
SPLITS = {
    "prompt": range(1, 11),
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
}


@dataclass(frozen=True)
class Mbpp:
    """Rows of `mbpp.jsonl` or of the sanitized file.

    Attributes:
        split: one of the official splits, by task id.
        challenge_tests: whether the harder asserts of a few problems count, too. Published figures
            do not use them.
    """

    kind: Literal["mbpp"] = "mbpp"
    split: Literal["all", "prompt", "test", "validation", "train"] = "all"
    challenge_tests: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return "task_id", "code", "test_list"

    def read(self, record: Record) -> Problem | None:
        """The entry point is the function of the reference code that the asserts call."""
        # EvalPlus writes the number as Mbpp/2.
        number = id_of(record, "task_id").rpartition("/")[2]
        if not number.isdecimal():
            raise Unusable("task_id is no number")
        if self.split != "all" and int(number) not in SPLITS[self.split]:
            return None
        # The sanitized file calls the text its prompt.
        statement = text_of(record, "text" if "text" in record else "prompt").strip()
        gold = unix(text_of(record, "code"))
        tests = self._asserts(record, "test_list")
        if self.challenge_tests and record.get("challenge_test_list"):
            tests += self._asserts(record, "challenge_test_list")
        imports = list_of(record, "test_imports") if record.get("test_imports") else []
        module = parsed(gold, "the reference code")
        entry_point = _entry_point(module, tests)
        given = "\n".join([*map(str, imports), optional_text(record, "test_setup_code")]).strip()
        borrowed = _borrowed(module, "\n".join([given, *tests]))
        return Problem(
            id=f"mbpp/{number}",
            group=f"mbpp/{number}",
            kind="function",
            statement=statement,
            entry_point=entry_point,
            signature=def_line_of(module, entry_point),
            setup="\n".join(filter(None, [borrowed, given])),
            gold=gold,
            tests=tuple(map(AssertTest, tests)),
        )

    def _asserts(self, record: Record, column: str) -> list[str]:
        found = list_of(record, column)
        if not all(isinstance(each, str) for each in found):
            raise Unusable(f"{column} holds what is not text")
        return [unix(str(each)).strip() for each in found]


def _entry_point(module: ast.Module, tests: list[str]) -> str:
    """The function that the first assert calls: one of the reference code before any other."""
    defined = {getattr(node, "name", "") for node in module.body}
    for test in tests[:1]:
        called = [
            node.func.id
            for node in ast.walk(parsed(test, "a test"))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        own = [name for name in called if name in defined]
        # `set(f(x)) == set(y)` calls a built-in function around the entry point.
        strange = [name for name in called if not hasattr(builtins, name)]
        for name in [*own, *strange]:
            return name
    raise Unusable("the first test calls no function" if tests else "no tests")


def _borrowed(module: ast.Module, tests: str) -> str:
    """Imports and classes of the reference code that tests mention and nobody else gives them.

    A few tests call `sys.getsizeof`, or make a `Node` as an argument. They expect every answer to
    define such a class under the same name, which the text of the problem does not tell.
    """
    importing = (ast.Import, ast.ImportFrom, ast.ClassDef)
    candidates = [node for node in module.body if isinstance(node, importing)]
    found = needed(candidates, names_in(parsed(tests, "a test")))
    return ast.unparse(ast.Module(found, [])) if found else ""
