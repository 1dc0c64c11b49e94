"""Python files -> functions, by the standard library's own parser."""

import ast
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from trainer.corpus.fragment import Fragment, reason_to_drop

_MIN_NODES = 15


def functions(text: str, counts: Counter[str]) -> Iterator[Fragment] | None:
    """Functions of a module and methods of its classes; nested functions stay where they are.

    None when the file does not parse; `counts` says why functions were left out.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # about invalid escapes in the source
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    found = [node for body in bodies for node in body if isinstance(node, ast.FunctionDef)]
    return (kept for function in found if (kept := _fragment(function, counts)))


def _fragment(function: ast.FunctionDef, counts: Counter[str]) -> Fragment | None:
    # The docstring becomes the request, so it must not stand in the answer as well.
    docstring = ast.get_docstring(function) or ""
    if docstring:
        function.body = function.body[1:]
    function.decorator_list = []
    nodes = (node for statement in function.body for node in ast.walk(statement))
    enough = sum(1 for _ in islice(nodes, _MIN_NODES))  # walking all of them would cost a fifth
    if reason := reason_to_drop(function.name, enough, _MIN_NODES):
        counts[reason] += 1
        return None
    try:
        signature = f"{function.name}({ast.unparse(function.args)})"
        return Fragment(function.name, signature, docstring, ast.unparse(function))
    except RecursionError:
        counts["nested too deep"] += 1
        return None
