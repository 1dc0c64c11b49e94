"""HumanEval's format (Chen et al. 2021, arXiv 2107.03374): code to continue, and `check`."""

import ast
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

from trainer.feedback.answer_code import continued
from trainer.feedback.problem import AssertTest, Problem
from trainer.feedback.readers.reader import (
    def_line_of,
    id_of,
    names_bound,
    names_in,
    needed,
    parsed,
    unix,
)
from trainer.tables.record import Record, Unusable, text_of


@dataclass(frozen=True)
class HumanEval:
    """Rows with `prompt`, `entry_point`, `canonical_solution` and `test`.

    The body of `check(candidate)` is divided into its asserts, so that each has its own verdict.
    """

    kind: Literal["human_eval"] = "human_eval"

    @property
    def columns(self) -> tuple[str, ...]:
        return "task_id", "prompt", "entry_point", "canonical_solution", "test"

    def read(self, record: Record) -> Problem:
        prefix = unix(text_of(record, "prompt"))
        entry_point = text_of(record, "entry_point").strip()
        begun = parsed(f"{prefix.rstrip()}\n    pass\n", "the prompt")
        signature = def_line_of(begun, entry_point)
        if not signature:
            raise Unusable("the prompt does not begin the entry point")
        test = parsed(unix(text_of(record, "test")), "the test")
        around = [node for node in test.body if not _is_check(node)]
        checks = [node for node in test.body if _is_check(node)]
        if len(checks) != 1:
            raise Unusable("the test does not define check")
        check = checks[0]
        assert isinstance(check, ast.FunctionDef)
        # Imports and helpers of the prompt serve answers and tests; the entry point's own
        # beginning does not. What the test defines beside `check` may tell what is expected, so it
        # goes to the tests and never near a program.
        helpers = [node for node in begun.body if getattr(node, "name", "") != entry_point]
        # Nor is a call of `check` any part of a test, even if another function makes it.
        callers = {"check"}
        for node in around:
            if callers & names_in(node):
                callers |= names_bound(node)
        around = [node for node in around if not callers & (names_in(node) | names_bound(node))]
        identifier = id_of(record, "task_id")
        return Problem(
            id=identifier,
            group=identifier,
            kind="function",
            statement=prefix,
            entry_point=entry_point,
            signature=signature,
            prefix=prefix,
            setup=ast.unparse(ast.Module(helpers, [])),
            gold=continued(prefix, unix(text_of(record, "canonical_solution"))),
            tests=tuple(AssertTest(code) for code in divided(check, around, entry_point)),
        )


def _is_check(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "check"


def divided(check: ast.FunctionDef, around: list[ast.stmt], entry_point: str) -> list[str]:
    """The statements of `check` that can fail, each with the statements that prepare it.

    A statement is a test if it holds an assert, or if it mentions the entry point and does more
    than to keep its result. A function that `check` defines tests nothing itself: its call does.
    The others before it, and those around `check`, prepare it as far as they matter to it. A test
    that never mentions the entry point, such as `assert True`, tests nothing and is left out. A
    body that only works within a function, because it returns or yields, stays whole.
    """
    candidate = check.args.args[0].arg if check.args.args else "candidate"
    body = [_Renamed(candidate, entry_point).visit(deepcopy(node)) for node in check.body]
    if any(isinstance(node, ast.Return | ast.Yield | ast.Nonlocal) for node in ast.walk(check)):
        whole = deepcopy(check)
        whole.body, whole.args.args = body, []
        test = [
            *needed(around, names_in(whole)),
            whole,
            ast.Expr(ast.Call(ast.Name("check"), [], [])),
        ]
        return [ast.unparse(ast.fix_missing_locations(ast.Module(test, [])))]
    tests, before = [], list(around)
    asking, asserting = {entry_point}, set[str]()
    for node in body:
        names = names_in(node)
        asserts = any(isinstance(each, ast.Assert) for each in ast.walk(node))
        asserts = asserts or bool(asserting & names)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            asking |= names_bound(node) if asking & names else set()
            asserting |= names_bound(node) if asserts else set()
            before.append(node)
        elif asserts or (asking & names and not names_bound(node)):
            test = [*needed(before, names_in(node)), node]
            if any(entry_point in names_in(each) for each in test):
                tests.append(ast.unparse(ast.Module(test, [])))
        else:
            before.append(node)
    return tests


class _Renamed(ast.NodeTransformer):
    """Replaces a variable by another one."""

    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._new, node.ctx) if node.id == self._old else node
