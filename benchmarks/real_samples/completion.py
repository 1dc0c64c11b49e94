"""The body that an answer gives to a function whose head is known."""

import ast
import re
from textwrap import dedent, indent

from trainer.feedback.answer_code import parsed, program_in
from trainer.feedback.answer_forms import body_source
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
    tree = parsed(code)
    own = [
        node
        for node in (tree.body if tree else [])
        if isinstance(node, ast.FunctionDef) and node.name == problem.entry_point
    ]
    if own:
        # Of several definitions the last one counts, as it does when the code runs.
        return body_source(code, own[-1]).rstrip() or _EMPTY
    begun = re.search(rf"^[ \t]*def {re.escape(problem.entry_point)}\b.*\n", code, re.MULTILINE)
    body = _DOCSTRING.sub("", code[begun.end() :]) if begun else code
    return indent(dedent(body.strip("\n")), "    ").rstrip() or _EMPTY
