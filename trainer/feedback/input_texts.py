"""Test inputs in what a language model wrote, or in the code of a given test."""

import ast
import inspect
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice, takewhile
from textwrap import dedent

from trainer.feedback.plain_expressions import parse_expression, plain
from trainer.feedback.problem import AssertTest, CallTest, Problem, StdioTest
from trainer.feedback.sandbox.types import Input
from trainer.feedback.signature import signature_of

_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_ASSIGNMENT = re.compile(r"^[ \t]*(\w+)[ \t]*=(?!=)[ \t]*(.+)$", re.MULTILINE)
# "1.", "-", "Input 3:", "Test case 2 -" and the like, before what matters.
_MARKER = re.compile(
    r"\s*(?:>>>|[-*+•](?=\s)|\(?\d+[.):](?=\s)|"
    r"(?:test\s*(?:case|input)?|case|example|inputs?|args|arguments)\s*#?\d*\s*[:.)-](?=\s))\s*",
    re.IGNORECASE,
)
_RESULT = re.compile(r"\s*(?:->|=>|→|#|//|==\s|\breturns?\b).*$")
_HEADING = re.compile(
    r"^[ \t#*]*(?:(?:test\s*)?(?:case|input|example)s?\s*#?\d*|-{3,}|={3,})[ \t*:.]*$",
    re.IGNORECASE | re.MULTILINE,
)
_OUTPUT = re.compile(r"^[ \t#*]*(?:expected\s+)?(?:outputs?|answers?|results?)\b", re.IGNORECASE)
# Parentheses within a text close nothing.
_TEXT_OR_PARENTHESIS = re.compile(
    r"""(\"{3}|'{3})(?:\\.|(?!\1).)*\1|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[()]""", re.DOTALL
)
# Where the end of a call is looked for: characters, and parentheses that are tried among them.
_MAX_CALL = 10_000
_MAX_TRIES = 8
# Calls that are looked at in one text.
_MAX_CALLS = 200

NOT_PLAIN = "arguments are no plain data"


@dataclass
class FoundInputs:
    """Inputs in the order in which they were found, all different.

    Attributes:
        reasons: how many were found, and why others were not taken.
    """

    inputs: list[Input] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, found: Input, max_characters: int) -> None:
        if len(found.stdin) + len(found.arguments) + len(found.keywords) > max_characters:
            self.reasons["too long"] += 1
        elif found in self.inputs:
            self.reasons["duplicate"] += 1
        else:
            self.reasons["taken"] += 1
            self.inputs.append(found)


def add_written(text: str, problem: Problem, found: FoundInputs, max_characters: int) -> None:
    """Add the inputs in a text that a model wrote: calls for a function, blocks for a script.

    Each is counted under what became of it, and a text without any as "not parsed".
    """
    if problem.kind == "script":
        made: list[Input | str] = [Input(stdin=stdin) for stdin in stdin_blocks(text)]
    else:
        made = inputs_of_calls(text, problem)
        if not any(isinstance(each, Input) for each in made):
            made += inputs_of_lines(text, problem)
    for each in made or ["not parsed"]:
        if isinstance(each, Input):
            found.add(each, max_characters)
        else:
            found.reasons[each] += 1


def add_given(problem: Problem, found: FoundInputs, max_characters: int) -> None:
    """Add the inputs of the problem's own tests, and nothing of what they expect."""
    for test in problem.tests:
        match test:
            case StdioTest():
                made: list[Input | str] = [Input(stdin=test.stdin)]
            case CallTest():
                made = [Input(arguments=test.arguments, keywords=test.keywords)]
            case AssertTest():
                made = inputs_of_calls(test.code, problem) or ["not parsed"]
        for each in made:
            if isinstance(each, Input):
                found.add(each, max_characters)
            else:
                found.reasons[each] += 1


def inputs_of_calls(text: str, problem: Problem) -> list[Input | str]:
    """An input, or the reason why it is none, for each call of the entry point in the text.

    It does not matter what stands around a call: an assert, a list, a fence or a sentence.
    Variables have the values that were assigned to them above it.
    """
    name, signature = problem.entry_point.rpartition(".")[2], signature_of(problem)
    assigned = [(match.start(), match) for match in _ASSIGNMENT.finditer(text)]
    calls = re.finditer(rf"(?<!def )\b{re.escape(name)}[ \t]*\(", text)
    called = [(match.start(), None) for match in islice(calls, _MAX_CALLS)]
    variables: dict[str, ast.expr] = {}
    made: list[Input | str] = []
    for start, assignment in sorted([*assigned, *called], key=lambda each: each[0]):
        if assignment is None:
            if call := call_at(text, start):
                made.append(input_of(call, variables, signature))
            continue
        variables.pop(assignment[1], None)
        value = parse_expression(assignment[2])
        if value and (value := plain(value, variables)):
            variables[assignment[1]] = value
    return made


def call_at(text: str, start: int) -> ast.Call | None:
    """The call that begins there: it ends at the first parenthesis with which it can be parsed.

    Only a few are tried, because a model may repeat what is no call until its tokens run out.
    """
    window = text[start : start + _MAX_CALL]
    depth = tries = 0
    for match in _TEXT_OR_PARENTHESIS.finditer(window):
        depth += (match[0] == "(") - (match[0] == ")")
        if match[0] != ")" or depth > 0:
            continue
        if isinstance(node := parse_expression(window[: match.end()]), ast.Call):
            return node
        tries += 1
        if tries == _MAX_TRIES:
            return None
    return None


def inputs_of_lines(text: str, problem: Problem) -> list[Input | str]:
    """The same for arguments that stand alone, one input a line or all of them in one list."""
    signature = signature_of(problem)
    made: list[Input | str] = []
    for block in fenced_blocks(text) or [text]:
        whole = parse_expression(block)
        if isinstance(whole, ast.Dict) and len(whole.values) == 1:  # {"inputs": [...]}
            whole = whole.values[0]
        if isinstance(whole, ast.List | ast.Tuple) and "\n" in block.strip():
            found = [call_of(each) for each in whole.elts]
        else:
            found = [call for line in block.splitlines() if (call := arguments_in(line))]
        for call in found:
            only = call.args[0] if len(call.args) == 1 and not call.keywords else None
            if isinstance(only, ast.Call) and plain(only, {}) is None:
                made.append("other function")
                continue
            each = input_of(spread(only, signature) if only else call, {}, signature)
            if each != NOT_PLAIN:  # else it is a line of prose that Python happens to read
                made.append(each)
    return made


def arguments_in(line: str) -> ast.Call | None:
    """The call whose arguments a line lists, after its number and before its result."""
    bare = _MARKER.sub("", line, count=1).strip().strip("`").rstrip(",;. ")
    for text in (bare, _RESULT.sub("", bare)):
        call = parse_expression(f"_({text}\n)") if text else None
        if isinstance(call, ast.Call) and (call.args or call.keywords):
            return call
    return None


def call_of(node: ast.expr) -> ast.Call:
    return ast.Call(ast.Name("_"), [node], [])


def spread(node: ast.expr, signature: inspect.Signature) -> ast.Call:
    """The call that a single value stands for: of all arguments if it fits, else of one."""
    if isinstance(node, ast.Dict):
        names = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        if names in (["args"], ["arguments"], ["input"]) and names[0] not in signature.parameters:
            return spread(node.values[0], signature)
        if names and all(name in signature.parameters for name in names):
            pairs = zip(names, node.values, strict=True)
            return ast.Call(ast.Name("_"), [], [ast.keyword(str(k), value) for k, value in pairs])
    # A list is one argument wherever the function takes one, because a tuple could be written.
    listed = isinstance(node, ast.List) and not takes(signature, [node])
    if listed or isinstance(node, ast.Tuple):
        assert isinstance(node, ast.List | ast.Tuple)
        if takes(signature, node.elts):
            return ast.Call(ast.Name("_"), node.elts, [])
    return call_of(node)


def takes(signature: inspect.Signature, arguments: list[ast.expr]) -> bool:
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def input_of(
    call: ast.Call, variables: dict[str, ast.expr], signature: inspect.Signature
) -> Input | str:
    """A call's arguments as an input, or the reason why they are none.

    Arguments are positional wherever the signature says at which position, so that equal calls are
    equal inputs.
    """
    arguments = [plain(each, variables) for each in call.args]
    keywords = {each.arg: plain(each.value, variables) for each in call.keywords}
    if None in arguments or None in keywords or None in keywords.values():
        return NOT_PLAIN
    try:
        bound = signature.bind(*arguments, **{str(name): each for name, each in keywords.items()})
    except TypeError:
        return "wrong arguments"
    named = ast.Dict([ast.Constant(name) for name in bound.kwargs], [*bound.kwargs.values()])
    try:
        return Input(
            arguments=ast.unparse(ast.Tuple([*bound.args], ast.Load())),
            keywords=ast.unparse(named),
        )
    except RecursionError:
        return "too long"


def call_text(name: str, input_: Input) -> str:
    """An input as a call of the function."""
    positional = ast.parse(input_.arguments, mode="eval").body
    named = ast.parse(input_.keywords, mode="eval").body
    assert isinstance(positional, ast.Tuple)
    assert isinstance(named, ast.Dict)
    keywords = [
        ast.keyword(str(key.value), each)
        for key, each in zip(named.keys, named.values, strict=True)
        if isinstance(key, ast.Constant)
    ]
    return ast.unparse(ast.Call(ast.Name(name), positional.elts, keywords))


def fenced_blocks(text: str) -> list[str]:
    return [dedent(match[1]) for match in _FENCE.finditer(text)]


def stdin_blocks(text: str) -> list[str]:
    """The inputs of a script: fenced blocks, or what stands below headings such as "Input 3:".

    What is said to be an output is left out.
    """
    pieces: list[str] = []
    end = 0
    for match in _FENCE.finditer(text):
        above = text[end : match.start()].strip().rpartition("\n")[2]
        end = match.end()
        if not _OUTPUT.search(above):
            pieces += _HEADING.split(dedent(match[1]))
    if not end:
        pieces = _HEADING.split(text)[1:]  # before the first heading stands what introduces it
    found = []
    for piece in pieces:
        lines = [line.rstrip() for line in piece.strip("\n").splitlines()]
        kept = list(takewhile(lambda line: not _OUTPUT.search(line), lines))
        if stdin := "\n".join(kept).strip("\n"):
            found.append(stdin + "\n")
    return found
