"""Answers in the forms in which reward models meet them: whole answers, programs, completions.

A policy answers with prose around a fenced block. Whoever reranks may have kept the program alone,
or, as HumanEval's prompts ask for it, the rest of a function whose head was given.
"""

import ast
import random
from dataclasses import replace
from textwrap import indent
from typing import Literal

from trainer.feedback.answer_code import parsed, program_in
from trainer.feedback.problem import Problem
from trainer.feedback.samples import text_of
from trainer.pairs.row import PreferenceRow

AnswerForm = Literal["answer", "program", "completion"]
"""The whole answer to the prompt that was asked; its program beside the problem's text; or the
program's body beside the head of its function, whose docstring is the problem's text."""


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
    """The statements of the program's one function, indented as they are; empty if it is not one.

    A docstring of its own is left out, because the head has one.
    """
    tree = parsed(program)
    match tree.body if tree else []:
        case [ast.FunctionDef(name=name, body=body) as function] if name == entry_point:
            kept = body[1:] if ast.get_docstring(function) is not None else body
            # `def f(x): return x` has no line of its own for a body.
            if kept and kept[0].lineno > function.lineno:
                return "\n".join(program.splitlines()[kept[0].lineno - 1 : function.end_lineno])
    return ""
