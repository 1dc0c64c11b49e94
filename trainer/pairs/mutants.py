"""A function -> the same function with one node changed that bears behavior.

Sites are syntax-tree nodes outside docstrings, annotations, raised messages and logging, so that
a mutant differs in what it does and not in what it says. Nothing is run here, so a mutant may still
behave like its original.
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
# Swapping two arguments of these changes nothing.
_SYMMETRIC = frozenset({"max", "min", "gcd", "lcm", "isclose", "hypot", "union", "intersection"})

_SILENT_CALLS = frozenset({"warn", "debug", "info", "warning", "error", "exception", "print"})


def mutants(source: str, count: int, seed: str) -> list[str]:
    """Up to `count` distinct mutants of a function's source, each one edit away from it."""
    tree = ast.parse(source)
    edits = list(all_edits(tree))
    random.Random(seed).shuffle(edits)
    found: dict[str, None] = {}
    for edit in edits:
        if len(found) == count:
            break
        # The one tree is edited in place and put back, because copying it for every edit is slow.
        original = getattr(edit.node, edit.field)
        setattr(edit.node, edit.field, edit.value)
        try:
            mutant = ast.unparse(tree)
            compile(mutant, "mutant", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue
        finally:
            setattr(edit.node, edit.field, original)
        if mutant != source:
            found[mutant] = None
    return list(found)


def all_edits(tree: ast.Module) -> Iterator[Edit]:
    """Every possible edit, in an order that depends on the tree alone."""
    # Arguments and assigned names are what could be confused with one another.
    found = [node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)]
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    found += [name.id for name in names if isinstance(name.ctx, ast.Store)]
    local = [name for name in dict.fromkeys(found) if name not in {"self", "cls", "_"}]
    for node in behavior(tree):
        yield from operator_edits(node)
        yield from value_edits(node)
        yield from name_edits(node, local)
        yield from deletions(node)


def behavior(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes at and below `node` that bear behavior."""
    if isinstance(node, ast.Raise | ast.Assert | ast.arg) or is_silent(node):
        return
    yield node
    for name, value in ast.iter_fields(node):
        # A call has `args` that are values; those of a function are its signature.
        declares = name in {"annotation", "returns", "decorator_list", "args"}
        if declares and not isinstance(node, ast.Call):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from behavior(child)


def is_silent(node: ast.AST) -> bool:
    """Whether a statement only logs or warns."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    return called_name(node.value.func) in _SILENT_CALLS


def called_name(called: ast.expr) -> str:
    """The last part of a dotted name; empty when something else is called."""
    match called:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def operator_edits(node: ast.AST) -> Iterator[Edit]:
    """Another operator: of a comparison, of arithmetic, of logic."""
    match node:
        case ast.Compare(ops=[operator]):
            for other in _COMPARE[type(operator)]:
                yield Edit(node, "ops", [other()])
        case ast.BinOp(op=operation) | ast.AugAssign(op=operation):
            for swapped in _ARITHMETIC.get(type(operation), ()):
                yield Edit(node, "op", swapped())
        case ast.BoolOp(op=operation):
            yield Edit(node, "op", ast.Or() if isinstance(operation, ast.And) else ast.And())


def value_edits(node: ast.AST) -> Iterator[Edit]:
    """A negated condition, another constant, another result, turned limits or arguments."""
    match node:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
                yield Edit(node, "test", test.operand)
            else:
                yield Edit(node, "test", ast.UnaryOp(ast.Not(), test))
        # A bool is an int, so it must come first.
        case ast.Constant(value=bool() as value):
            yield Edit(node, "value", not value)
        case ast.Constant(value=int() as value):
            yield Edit(node, "value", value + 1)
            yield Edit(node, "value", value - 1)
        case ast.Constant(value=float() as value):
            others = [value + 1.0, -value] if value else [1.0]  # -0.0 is no other value
            yield from (Edit(node, "value", other) for other in others)
        case ast.Call(func=called, args=arguments):
            ordered = len(arguments) == 2 and called_name(called) not in _SYMMETRIC
            if ordered and ast.dump(arguments[0]) != ast.dump(arguments[1]):
                yield Edit(node, "args", arguments[::-1])
            if isinstance(called, ast.Name) and called.id in _NAMES:
                yield Edit(called, "id", _NAMES[called.id])
            if isinstance(called, ast.Attribute) and called.attr in _NAMES:
                yield Edit(called, "attr", _NAMES[called.attr])
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield Edit(node, "value", ast.Constant(None))
        case ast.Subscript(slice=ast.Slice(lower=low, upper=high)) if low or high:
            yield Edit(node, "slice", ast.Slice(lower=high, upper=low))


def name_edits(node: ast.AST, names: list[str]) -> Iterator[Edit]:
    """Another local variable in this one's place: the commonest slip of hand-written code."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        others = [name for name in names if name != node.id]
        # One other name, chosen by the position, so that uses of one variable get different ones.
        turn = (node.lineno * 31 + node.col_offset) % len(others) if others else 0
        for other in others[turn : turn + 1]:
            yield Edit(node, "id", other)


def deletions(node: ast.AST) -> Iterator[Edit]:
    """A missing statement, if it does something and is not the only one of its block."""
    for block in ("body", "orelse"):
        statements = getattr(node, block, None)
        if not isinstance(statements, list) or len(statements) < 2:
            continue
        for index, statement in enumerate(statements):
            match statement:
                case ast.Raise() | ast.Assert() | ast.Pass() | ast.AnnAssign(value=None):
                    continue
                case ast.Expr(value=ast.Constant()):  # a docstring
                    continue
            if not is_silent(statement):
                yield Edit(node, block, statements[:index] + statements[index + 1 :])
