"""The signature of the function that a problem asks for, read from its `def` line."""

import ast
import inspect
import warnings

from trainer.feedback.problem import Problem


def signature_of(problem: Problem) -> inspect.Signature:
    """The entry point's signature; one that takes anything if the problem does not tell it."""
    kinds = inspect.Parameter
    anything = inspect.Signature(
        [kinds("args", kinds.VAR_POSITIONAL), kinds("keywords", kinds.VAR_KEYWORD)]
    )
    line = problem.signature.strip().rstrip(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            (function,) = ast.parse(f"{line}: pass").body
        except (SyntaxError, ValueError):
            return anything
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        return anything
    of = function.args
    positional = [*of.posonlyargs, *of.args]
    first_default = len(positional) - len(of.defaults)
    found = [
        kinds(
            each.arg,
            kinds.POSITIONAL_ONLY if each in of.posonlyargs else kinds.POSITIONAL_OR_KEYWORD,
            default=None if number >= first_default else kinds.empty,
        )
        for number, each in enumerate(positional)
        if not (number == 0 and each.arg == "self")
    ]
    if of.vararg:
        found.append(kinds(of.vararg.arg, kinds.VAR_POSITIONAL))
    for each, default in zip(of.kwonlyargs, of.kw_defaults, strict=True):
        found.append(kinds(each.arg, kinds.KEYWORD_ONLY, default=None if default else kinds.empty))
    if of.kwarg:
        found.append(kinds(of.kwarg.arg, kinds.VAR_KEYWORD))
    return inspect.Signature(found)
