"""Python files -> functions, by the standard library's own parser."""

import ast
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from trainer.corpus.fragment import Fragment, worthless

_LEAST_NODES = 15


def functions(text: str, counts: Counter[str]) -> Iterator[Fragment] | None:
    """Functions of a module and methods of its classes; nested functions stay where they are.

    None where the file does not parse; `counts` says why functions were left out.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # about a stranger's escape sequences
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    found = [node for body in bodies for node in body if isinstance(node, ast.FunctionDef)]
    return (piece for function in found if (piece := _piece(function, counts)))


def _piece(function: ast.FunctionDef, counts: Counter[str]) -> Fragment | None:
    docstring = ast.get_docstring(function) or ""
    if docstring:
        function.body = function.body[1:]
    function.decorator_list = []
    nodes = (node for statement in function.body for node in ast.walk(statement))
    enough = sum(1 for _ in islice(nodes, _LEAST_NODES))  # walking all of them would cost a fifth
    if worthless(function.name, enough, _LEAST_NODES, counts):
        return None
    try:
        head = f"{function.name}({ast.unparse(function.args)})"
        return Fragment(function.name, head, docstring, ast.unparse(function))
    except RecursionError:
        counts["nested too deep"] += 1
        return None
