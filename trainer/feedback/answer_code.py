"""The program in an answer: a whole one, a block between prose, or the rest of one begun."""

import ast
import warnings
from textwrap import dedent, indent

from trainer.feedback.problem import Problem
from trainer.synthesis.code import blocks_of


def program_in(problem: Problem, answer: str) -> str:
    """The program that an answer gives; empty if it has no code.

    Of several fenced blocks it is the longest that defines the entry point, or else the longest.
    Code that does not define it may continue the problem's prefix. A fence in a text that is
    Python as a whole stands in a docstring or a comment, and begins no block.
    """
    blocks = [] if parsed(answer) else blocks_of(answer)
    blocks = blocks or [answer.strip("\n").rstrip()]
    blocks = sorted((block for block in blocks if block.strip()), key=len, reverse=True)
    for block in blocks:
        if defines(block, problem.entry_point):
            return block
    if not blocks:
        return ""
    if problem.prefix:
        whole = continued(problem.prefix, blocks[0])
        if defines(whole, problem.entry_point):
            return whole
    return blocks[0]


def continued(prefix: str, rest: str) -> str:
    """The prefix with the rest of its function, which is indented anew if that does not parse.

    Some data sets and many models indent the rest otherwise than the prefix, or not at all.
    """
    again = f"{prefix.rstrip()}\n{indent(dedent(rest), '    ')}\n"
    try:
        for whole in (prefix + rest, again):
            tree = parsed(whole)
            if tree is not None and not _returns(tree.body):
                return whole
    except RecursionError:
        pass  # thousands of nested statements, which no compiler takes either
    return prefix + rest


def _returns(statements: list[ast.stmt]) -> bool:
    """Whether a `return` stands outside of functions, which only a compiler refuses."""
    inner = [
        node
        for node in statements
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    return any(
        isinstance(node, ast.Return)
        or _returns([each for each in ast.iter_child_nodes(node) if isinstance(each, ast.stmt)])
        for node in inner
    )


def defines(code: str, entry_point: str) -> bool:
    """Whether code gives the entry point, or the class that has it, a value, at whatever depth."""
    tree = parsed(code)
    name = entry_point.partition(".")[0]
    if tree is None or not name:
        return False
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=found) | ast.AsyncFunctionDef(name=found):
                pass
            case ast.ClassDef(name=found) | ast.alias(asname=str(found)) | ast.alias(name=found):
                pass
            case ast.Name(id=found, ctx=ast.Store()):
                pass
            case _:
                continue
        if found == name:
            return True
    return False


def parsed(code: str) -> ast.Module | None:
    """The module, or None where Python cannot parse it; nothing is printed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escapes in the source
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
