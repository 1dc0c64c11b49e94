"""The body that an answer gives to a function whose head is known."""

import ast
import re
from textwrap import dedent, indent

from trainer.feedback.answer_code import parsed, program_in
from trainer.feedback.problem import Problem

_DOCSTRING = re.compile(r'\A\s*[rRuU]?("""|\'\'\').*?\1[ \t]*\n?', re.DOTALL)
_EMPTY = "    pass"


def completion_in(problem: Problem, answer: str) -> str:
    """The body of the entry point in an answer, without its docstring, indented by four.

    Training takes bodies of answers that are one whole function (`trainer.feedback.answer_forms`);
    here every answer stays among the candidates. One that does not parse gives what follows its
    `def` line: a broken answer stays one. One without the function gives all of its code. No body
    at all is `pass`, because a candidate has a text.
    """
    code = program_in(problem, answer)
    body = _parsed_body(problem.entry_point, code)
    if body is None:
        begun = re.search(rf"^[ \t]*def {re.escape(problem.entry_point)}\b.*\n", code, re.MULTILINE)
        body = _DOCSTRING.sub("", code[begun.end() :]) if begun else code
    return indent(dedent(body.strip("\n")), "    ").rstrip() or _EMPTY


def _parsed_body(entry_point: str, code: str) -> str | None:
    """Source of the function's body; None if there is no such function, or the code is broken."""
    tree = parsed(code)
    if tree is None:
        return None
    # Of several definitions the last one counts, as it does when the code runs.
    own = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == entry_point]
    if not own:
        return None
    statements = own[-1].body
    # Columns of a syntax tree count bytes, and lines from 1.
    lines = code.encode().splitlines(keepends=True)
    start = min(_lines_of(statements[0]))
    if ast.get_docstring(own[-1]) is not None:
        start = (statements[0].end_lineno or start) + 1  # comments may come before a statement
        statements = statements[1:]
    if not statements:
        return ""
    first, end = statements[0], statements[-1].end_lineno
    before = lines[first.lineno - 1][: first.col_offset]
    if before.strip():  # `def f(x): return x`
        return "\n".join(ast.get_source_segment(code, each) or "" for each in statements)
    return b"".join(lines[start - 1 : end]).decode()


def _lines_of(statement: ast.stmt) -> list[int]:
    """Its line and those of its decorators, which come before it."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return [statement.lineno, *(each.lineno for each in decorators)]
