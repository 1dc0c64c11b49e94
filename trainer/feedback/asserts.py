"""Asserts that say plainly what a call must return: they become a call and a comparison.

So the assert need not run at all, neither beside the program, which could tamper with it, nor
alone. `trainer.feedback.statements` judges whatever has another form.
"""

import ast
import warnings
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PlainAssert:
    """`assert f(arguments) == expected`, or the like.

    Attributes:
        arguments, keywords: expressions of the arguments, as in `Input`.
        expected: expression of the expected value.
        relation: Python's `==`; identity with None, True or False; or only the truth value.
    """

    arguments: str
    keywords: str
    expected: str
    relation: Literal["equal", "identical", "truth"]


def plain_assert(code: str, entry_point: str) -> PlainAssert | None:
    """Read a plain assert about the entry point's result; None if it is not plain.

    These are plain: `f(x) == y`, `y == f(x)`, `f(x) is None` (or a boolean), `f(x)` and
    `not f(x)`. There must be one call of the entry point, and nothing around it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escapes in the source
            statements = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    match statements:
        case [ast.Assert(test=test)]:
            pass
        case _:
            return None
    if sum(_is_name(node, entry_point) for node in ast.walk(test)) != 1:
        return None
    constant: ast.expr
    match test:
        case ast.Compare(left=ast.Call() as call, ops=[ast.Eq()], comparators=[constant]) if (
            _is_name(call.func, entry_point)
        ):
            return _plain(call, constant, "equal")
        case ast.Compare(left=constant, ops=[ast.Eq()], comparators=[ast.Call() as call]) if (
            _is_name(call.func, entry_point)
        ):
            return _plain(call, constant, "equal")
        case ast.Compare(
            left=ast.Call() as call,
            ops=[ast.Is()],
            comparators=[ast.Constant(value=None | True | False) as constant],
        ) if _is_name(call.func, entry_point):
            return _plain(call, constant, "identical")
        case ast.Call() as call if _is_name(call.func, entry_point):
            return _plain(call, ast.Constant(True), "truth")
        case ast.UnaryOp(op=ast.Not(), operand=ast.Call() as call) if _is_name(
            call.func, entry_point
        ):
            return _plain(call, ast.Constant(False), "truth")
    return None


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _plain(
    call: ast.Call, expected: ast.expr, relation: Literal["equal", "identical", "truth"]
) -> PlainAssert:
    keys: list[ast.expr | None] = [
        ast.Constant(each.arg) if each.arg else None for each in call.keywords
    ]
    return PlainAssert(
        ast.unparse(ast.Tuple(call.args, ast.Load())),
        ast.unparse(ast.Dict(keys, [each.value for each in call.keywords])),
        ast.unparse(expected),
        relation,
    )
