"""The protocol of all readers: a row becomes a problem with its tests.

To add one, write its file in this folder and add its class to the union in
`trainer.feedback.problems.ProblemsConfig`.
"""

import ast
import json
import warnings
from collections.abc import Sequence
from typing import Protocol

from trainer.feedback.problem import Problem
from trainer.tables.record import Record, Unusable


class Reader(Protocol):
    """A reader of rows of one shape."""

    @property
    def kind(self) -> str: ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that every row must have."""

    def read(self, record: Record) -> Problem | None:
        """The row's problem; None if it belongs to another split.

        Raises Unusable with the reason against the row.
        """


def parsed(source: str, what: str) -> ast.Module:
    """The syntax tree of a source; Unusable if it is no Python. `what` names it in the reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escapes in the source
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unusable(f"{what} is no Python") from error


def def_line_of(module: ast.Module, name: str) -> str:
    """The `def` line of a function at the top of a module; empty if it has none."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            head = ast.copy_location(ast.FunctionDef(node.name, node.args, [], []), node)
            head.returns = node.returns
            return ast.unparse(head).strip()
    return ""


def names_in(tree: ast.AST) -> set[str]:
    """All variables that a piece of code mentions."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def names_bound(node: ast.stmt) -> set[str]:
    """Names that a statement gives a value, as far as it does nothing else; else none."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {each.asname or each.name.partition(".")[0] for each in node.names}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign) and all(isinstance(each, ast.Name) for each in node.targets):
        return {each.id for each in node.targets if isinstance(each, ast.Name)}
    return set()


def needed(statements: Sequence[ast.stmt], names: set[str]) -> list[ast.stmt]:
    """Statements that something which mentions these names depends on, in their order.

    Statements that do more than to bind a name are always needed, because they may change any of
    them; texts that stand alone are not.
    """
    wanted = set(names)
    kept = list[ast.stmt]()
    for node in reversed(statements):
        bound = names_bound(node)
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_text and (not bound or bound & wanted):
            kept.append(node)
            wanted |= names_in(node)
    return kept[::-1]


def id_of(record: Record, column: str) -> str:
    """A row's id, which may be a number."""
    value = record.get(column)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise Unusable(f"{column} is no id")
    return str(value)


def optional_text(record: Record, column: str) -> str:
    """The text in a column that may be absent or null, with plain line ends."""
    value = record.get(column) if column else None
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unusable(f"{column} is not text")
    return unix(value)


def unix(text: str) -> str:
    """The text with the line ends of Unix, which programs read and print."""
    return text.replace("\r\n", "\n")


def decoded(value: object, column: str) -> object:
    """A value, or the one that JSON text holds: tables often keep lists as text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{column} is no JSON") from error
