"""Answers in the forms in which reward models meet them: whole answers, programs, completions.

A policy answers with prose around a fenced block. Whoever reranks may have kept the program alone,
or, as HumanEval's prompts ask for it, the rest of a function whose head was given.
"""

import ast
import random
from dataclasses import replace
from textwrap import dedent, indent
from typing import Literal

from trainer.feedback.answer_code import parsed, program_in
from trainer.feedback.problem import Problem
from trainer.feedback.samples import text_of
from trainer.pairs.row import PreferenceRow

AnswerForm = Literal["answer", "program", "completion"]
"""The whole answer to the prompt that was asked; its program beside the problem's text; or the
program's body beside the head of its function, whose docstring is the problem's text."""

_INDENTATION = "    "


def in_a_form(
    row: PreferenceRow, forms: tuple[AnswerForm, ...], problem: Problem, seed: int
) -> tuple[PreferenceRow, AnswerForm]:
    """The row in one of `forms`, drawn by its id, and that form.

    Where the chosen answer or all rejected ones cannot be had in that form, the row takes the next
    simpler one: a program with imports or helpers of its own completes no head, and prose holds no
    program. Single rejected answers that cannot be had in it are left out of the row.
    """
    rng = random.Random(f"{seed} {row.id}")
    form = rng.choice(forms)
    programs = [
        program_in(problem, answer)
        for answer in (row.chosen, *(each.text for each in row.rejected))
    ]
    if form == "completion" and problem.signature:
        bodies = [body_of(program, problem.entry_point) for program in programs]
        if completed := _with(row, head_of(problem), bodies):
            return completed, "completion"
    if form != "answer":
        shown = [text_of(problem, test) for test in problem.tests[: rng.randrange(3)]]
        if bare := _with(row, "\n".join([problem.statement, *shown]), programs):
            return bare, "program"
    return row, "answer"


def _with(row: PreferenceRow, prompt: str, answers: list[str]) -> PreferenceRow | None:
    """The row with another prompt and these answers; None where no two can be compared."""
    rejected = [
        replace(each, text=text)
        for each, text in zip(row.rejected, answers[1:], strict=True)
        if text and text != answers[0]
    ]
    if not answers[0] or not rejected:
        return None
    return replace(row, prompt=prompt, chosen=answers[0], rejected=tuple(rejected))


def head_of(problem: Problem) -> str:
    """The code that a completion continues: the problem's own prefix, or one of its signature."""
    if problem.prefix:
        return problem.prefix
    statement = problem.statement.replace("\\", "\\\\").replace('"""', "'''")
    example = "\n\n" + text_of(problem, problem.tests[0]) if problem.tests else ""
    docstring = indent(f'"""{statement}{example}\n"""', "    ")
    return f"{problem.signature}\n{docstring}\n"


def body_of(program: str, entry_point: str) -> str:
    """The statements of the program's one function, indented by four; empty if it is not one."""
    tree = parsed(program)
    match tree.body if tree else []:
        case [ast.FunctionDef(name=name) as function] if name == entry_point:
            return body_source(program, function)
    return ""


def body_source(code: str, function: ast.FunctionDef) -> str:
    """Source of a function's statements, indented by four; empty if there is only a docstring.

    The docstring is left out, because the head that is continued has one.
    """
    # Columns of a syntax tree count bytes, and lines from 1.
    lines = code.encode().splitlines(keepends=True)
    first, *rest = statements = function.body
    decorators: list[ast.expr] = getattr(first, "decorator_list", [])
    start = min([first.lineno, *(each.lineno for each in decorators)])
    if ast.get_docstring(function, clean=False) is not None:
        if not rest:
            return ""
        # From the next line on, because comments may come before the next statement.
        start = (first.end_lineno or start) + 1
        first, statements = rest[0], rest
    before = lines[first.lineno - 1][: first.col_offset]
    if before.strip():  # `def f(x): return x`
        segments = (ast.get_source_segment(code, each) or "" for each in statements)
        return indent("\n".join(segments), _INDENTATION)
    body = b"".join(lines[start - 1 : statements[-1].end_lineno]).decode().strip("\r\n")
    # A text of several lines in the body may begin at the margin, and would be changed.
    return body if before.decode() == _INDENTATION else indent(dedent(body), _INDENTATION)
