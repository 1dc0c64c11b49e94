"""A program's normalized syntax tree, by which near-duplicates are found.

A policy writes the same program many times with other comments and other names. Pairs of such
programs would count one lesson many times.
"""

import ast
import hashlib
import warnings
from collections.abc import Iterator

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def program_key(code: str, *, rename_locals: bool = True) -> str:
    """Equal for programs that differ in layout, comments and docstrings only.

    Args:
        rename_locals: also for programs that differ in the names of parameters and local variables.
            A name by which an argument is passed somewhere in the program keeps its name.

    Text that is no Python is compared without white space at the ends of its lines.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # about invalid escapes in the source
            tree = ast.parse(code)
            _without_docstrings(tree)
            if rename_locals:
                _Renaming(_fixed_names(tree)).visit(tree)
            text = ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        text = "text:" + "\n".join(line.rstrip() for line in code.strip().split("\n"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _without_docstrings(tree: ast.AST) -> None:
    """Take out every statement that is a text alone; none of them does anything."""
    for node in ast.walk(tree):
        for name, block in ast.iter_fields(node):
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                kept = [
                    statement
                    for statement in block
                    if not (
                        isinstance(statement, ast.Expr)
                        and isinstance(statement.value, ast.Constant)
                        and isinstance(statement.value.value, str)
                    )
                ]
                setattr(node, name, kept or [ast.Pass()])


def _fixed_names(tree: ast.AST) -> set[str]:
    """Names that stand elsewhere as plain text: those of keyword arguments and of attributes."""
    fixed: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg:
            fixed.add(node.arg)
        elif isinstance(node, ast.ClassDef):
            fixed.update(name for name, _ in _bindings(node))
    return fixed


class _Renaming(ast.NodeTransformer):
    """Numbers the names that functions bind, in the order in which scopes bind them.

    No name of Python looks like the new ones, so a renamed name never meets one that kept its own.
    """

    def __init__(self, kept: set[str]) -> None:
        self._kept = kept
        self._names: list[dict[str, str]] = [{}]
        self._number = 0

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, _SCOPES):
            return self._visit_scope(node)
        if isinstance(node, ast.Name):
            node.id = self._renamed(node.id)
        elif isinstance(node, ast.arg):
            node.arg = self._renamed(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            node.name = self._renamed(node.name)
        elif isinstance(node, ast.Nonlocal):
            node.names = [self._renamed(name) for name in node.names]
        self.generic_visit(node)
        return node

    def _visit_scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> ast.AST:
        # Decorators and default values belong to the scope around.
        outside = [*getattr(node, "decorator_list", ()), *node.args.defaults]
        outside += [default for default in node.args.kw_defaults if default]
        for part in outside:
            self.visit(part)
        if not isinstance(node, ast.Lambda):
            node.name = self._renamed(node.name)
        inner = dict(self._names[-1])
        for name, is_bound in _bindings(node):
            inner.pop(name, None)
            if is_bound and name not in self._kept:
                inner[name] = f"<{self._number}>"
                self._number += 1
        self._names.append(inner)
        arguments = node.args
        for each in ast.walk(arguments):
            if isinstance(each, ast.arg):
                self.visit(each)
        body = node.body if isinstance(node.body, list) else [node.body]
        for part in body:
            self.visit(part)
        self._names.pop()
        return node

    def _renamed(self, name: str) -> str:
        return self._names[-1].get(name, name)


def _bindings(scope: ast.AST) -> Iterator[tuple[str, bool]]:
    """Names of a function's scope in the order of the source, each once, and whether to rename it.

    Those of comprehensions count as the function's own.
    """
    names: dict[str, bool] = {}
    nonlocals: set[str] = set()
    waiting = list(ast.iter_child_nodes(scope))[::-1]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Nonlocal():
                nonlocals.update(node.names)
            case ast.arg() | ast.Name() | ast.ExceptHandler() | ast.FunctionDef():
                for name in _bound(node):
                    names.setdefault(name, True)
            case _:
                names |= dict.fromkeys(_bound(node), False)
        if not isinstance(node, (*_SCOPES, ast.ClassDef)):
            waiting += list(ast.iter_child_nodes(node))[::-1]
    for name, is_renamed in names.items():
        if name not in nonlocals:
            yield name, is_renamed


def _bound(node: ast.AST) -> list[str]:
    """Names that a node itself binds or declares global.

    Those of imports, classes and patterns are not renamed, because they stand in the tree as plain
    text.
    """
    match node:
        case ast.arg():
            return [node.arg]
        case ast.Name(ctx=ast.Store() | ast.Del()):
            return [node.id]
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar():
            return [node.name] if node.name else []
        case ast.MatchMapping():
            return [node.rest] if node.rest else []
        case ast.Import() | ast.ImportFrom():
            return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
        case ast.Global():
            return list(node.names)
    return []
