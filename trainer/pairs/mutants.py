"""A function -> the same function with one behaviour-bearing node changed.

Sites are syntax-tree nodes outside docstrings, annotations, raised messages and logging, so that
a mutant differs in what it does and not in what it says. Whether a given mutant fails given tests
is for whoever runs it to find out.
"""

import ast
import random
from collections.abc import Iterator
from typing import NamedTuple


class Edit(NamedTuple):
    """Another value for one field of one node."""

    node: ast.AST
    field: str
    value: object


_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.FloorDiv),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Mult, ast.Mod),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitAnd,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
}
_NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "append": "remove",
    "extend": "append",
    "add": "discard",
    "startswith": "endswith",
    "endswith": "startswith",
    "upper": "lower",
    "lower": "upper",
    "lstrip": "rstrip",
    "rstrip": "lstrip",
    "keys": "values",
    "values": "keys",
    "items": "keys",
    "sorted": "list",
    "abs": "int",
    "len": "sum",
    "sum": "len",
    "union": "intersection",
    "intersection": "union",
    "ceil": "floor",
    "floor": "ceil",
}
_SYMMETRIC = frozenset({"max", "min", "gcd", "lcm", "isclose", "hypot", "union", "intersection"})
"""Swapping two arguments of these changes nothing."""

_SILENT_CALLS = frozenset({"warn", "debug", "info", "warning", "error", "exception", "print"})


def mutants(source: str, count: int, seed: str) -> list[str]:
    """Up to `count` distinct mutants of a function's source, each one edit away from it."""
    tree = ast.parse(source)
    edits = list(_edits(tree))
    random.Random(seed).shuffle(edits)
    found: dict[str, None] = {}
    for edit in edits:
        if len(found) == count:
            break
        mutant = _unparse_with(edit, tree)
        if mutant not in (None, source):
            found[str(mutant)] = None
    return list(found)


def _unparse_with(edit: Edit, tree: ast.Module) -> str | None:
    """The edited tree as text, None when that does not compile; the tree is put back after."""
    original = getattr(edit.node, edit.field)
    setattr(edit.node, edit.field, edit.value)
    try:
        text = ast.unparse(tree)
        compile(text, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    finally:
        setattr(edit.node, edit.field, original)
    return text


def _edits(tree: ast.Module) -> Iterator[Edit]:
    """Every possible edit, in an order that depends on the tree alone."""
    names = _local_names(tree)
    for node in _behaviour(tree):
        yield from _node_edits(node)
        yield from _misuses(node, names)
        yield from _deletions(node)


def _behaviour(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes below `node` that bear behaviour."""
    if isinstance(node, ast.Raise | ast.Assert | ast.arg) or _is_silent(node):
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "args"} and not isinstance(
            node, ast.Call
        ):
            continue
        children = value if isinstance(value, list) else [value]
        for child in children:
            if isinstance(child, ast.AST):
                yield from _behaviour(child)


def _is_silent(node: ast.AST) -> bool:
    """A statement that only logs or warns."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    return _called_name(node.value.func) in _SILENT_CALLS


def _called_name(called: ast.expr) -> str:
    """The last part of a dotted name; empty for anything else that is called."""
    match called:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _is_inert(statement: ast.stmt) -> bool:
    """A statement that can go without anybody noticing, or that is no statement about values."""
    match statement:
        case ast.Raise() | ast.Assert() | ast.Pass() | ast.AnnAssign(value=None):
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case _:
            return _is_silent(statement)


def _node_edits(node: ast.AST) -> Iterator[Edit]:
    yield from _operator_edits(node)
    match node:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield Edit(node, "test", _negated(test))
        case ast.Constant(value=value):
            yield from (Edit(node, "value", other) for other in _other_constants(value))
        case ast.Call(func=called, args=arguments):
            yield from _call_edits(node, called, arguments)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield Edit(node, "value", ast.Constant(None))
        case ast.Subscript(slice=ast.Slice(lower=low, upper=high)) if low or high:
            yield Edit(node, "slice", ast.Slice(lower=high, upper=low))


def _operator_edits(node: ast.AST) -> Iterator[Edit]:
    match node:
        case ast.Compare(ops=[operator]):
            for other in _COMPARE[type(operator)]:
                yield Edit(node, "ops", [other()])
        case ast.BinOp(op=operation) | ast.AugAssign(op=operation):
            for swapped in _ARITHMETIC.get(type(operation), ()):
                yield Edit(node, "op", swapped())
        case ast.BoolOp(op=operation):
            yield Edit(node, "op", ast.Or() if isinstance(operation, ast.And) else ast.And())


def _call_edits(node: ast.Call, called: ast.expr, arguments: list[ast.expr]) -> Iterator[Edit]:
    ordered = len(arguments) == 2 and _called_name(called) not in _SYMMETRIC
    if ordered and ast.dump(arguments[0]) != ast.dump(arguments[1]):
        yield Edit(node, "args", arguments[::-1])
    if isinstance(called, ast.Name) and called.id in _NAMES:
        yield Edit(called, "id", _NAMES[called.id])
    if isinstance(called, ast.Attribute) and called.attr in _NAMES:
        yield Edit(called, "attr", _NAMES[called.attr])


def _misuses(node: ast.AST, names: list[str]) -> Iterator[Edit]:
    """Another local variable in this one's place: the commonest slip of hand-written code."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        others = [name for name in names if name != node.id]
        turn = (node.lineno * 31 + node.col_offset) % len(others) if others else 0
        for other in others[turn : turn + 1]:
            yield Edit(node, "id", other)


def _deletions(node: ast.AST) -> Iterator[Edit]:
    for block in ("body", "orelse"):
        statements = getattr(node, block, None)
        if isinstance(statements, list) and len(statements) > 1:
            for index, statement in enumerate(statements):
                if not _is_inert(statement):
                    yield Edit(node, block, statements[:index] + statements[index + 1 :])


def _negated(test: ast.expr) -> ast.expr:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    return ast.UnaryOp(ast.Not(), test)


def _other_constants(value: object) -> list[object]:
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case float():
            return [value + 1.0, -value] if value else [1.0]
        case _:
            return []


def _local_names(tree: ast.Module) -> list[str]:
    """Arguments and assigned names: what could be confused with one another."""
    found = [node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)]
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    found += [name.id for name in names if isinstance(name.ctx, ast.Store)]
    return [name for name in dict.fromkeys(found) if name not in {"self", "cls", "_"}]
