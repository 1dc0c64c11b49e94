"""The functions of a file, as they are written, and what of them counts as a change."""

import ast
import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from trainer.corpus import treesitter
from trainer.corpus.fragment import reason_to_drop
from trainer.corpus.languages import LANGUAGES, Language

_MIN_NODES = 15
_DECLARES = re.compile(r"declarat|parameter|var_spec|let_|range_clause")

PythonFunction = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """A function as it stands in its file, less its indentation, with decorators and comments.

    Attributes:
        name: with its class, where it is a method in Python.
        reason: why it teaches nothing about right and wrong code, or an empty string.
    """

    name: str
    signature: str
    text: str
    reason: str = ""


@dataclass(frozen=True)
class Meaning:
    """Two hashes by which functions are compared.

    Attributes:
        code: equal if nothing differs but layout, comments, docstring and annotations.
        shape: equal if names of arguments and of local variables differ besides.
    """

    code: str
    shape: str


def has_functions(language: str) -> bool:
    """Whether files of the language can be cut into functions here."""
    known = LANGUAGES.get(language)
    cut = known is not None and treesitter.parser_of(known) is not None
    return cut or language == "python"


def functions(text: str, language: str) -> dict[str, Function] | None:
    """The functions by name; those whose name comes twice are left out. None: it does not parse."""
    if language == "python":
        tree = _parse(text)
        if tree is None:
            return None
        # As the parser counts lines; str.splitlines also parts them at a form feed, for example.
        found = list(_python_functions(tree, re.split(r"\r\n|\r|\n", text), ""))
    else:
        known = LANGUAGES[language]
        cut = treesitter.functions(text, known, Counter())
        found = [Function(each.name, each.signature, each.source) for each in cut]
    times = Counter(function.name for function in found)
    return {function.name: function for function in found if times[function.name] == 1}


def meaning(text: str, language: str) -> Meaning | None:
    """The hashes of a function's text; None if it does not parse alone."""
    if language == "python":
        tree = _parse(text)
        return None if tree is None else _python_meaning(tree)
    return _other_meaning(text, LANGUAGES[language])


def _parse(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # about invalid escapes in the source
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _python_functions(
    holder: ast.Module | ast.ClassDef, lines: list[str], prefix: str
) -> Iterator[Function]:
    """Functions of a module and methods of its classes; nested functions stay where they are."""
    for node in holder.body:
        if isinstance(node, ast.ClassDef):
            yield from _python_functions(node, lines, f"{prefix}{node.name}.")
        elif isinstance(node, PythonFunction):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            assert node.end_lineno is not None
            whole = lines[first - 1 : node.end_lineno]
            indentation = whole[0][: len(whole[0]) - len(whole[0].lstrip())]
            text = "\n".join(line.removeprefix(indentation) for line in whole)
            inner = (each for statement in node.body for each in ast.walk(statement))
            nodes = sum(1 for _ in islice(inner, _MIN_NODES))
            reason = reason_to_drop(node.name, nodes, _MIN_NODES) or ""
            name = f"{prefix}{node.name}"
            yield Function(name, f"{name}({ast.unparse(node.args)})", text, reason)


def _python_meaning(tree: ast.Module) -> Meaning:
    for node in ast.walk(tree):
        if isinstance(node, PythonFunction):
            node.returns = None
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
        elif isinstance(node, ast.arg):
            node.annotation = None
    code = ast.dump(tree)
    local: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            local.setdefault(node.arg, f"local {len(local)}")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            local.setdefault(node.id, f"local {len(local)}")
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.arg = local[node.arg]
        elif isinstance(node, ast.Name):
            node.id = local.get(node.id, node.id)
    return Meaning(_hash(code), _hash(ast.dump(tree)))


def _other_meaning(text: str, language: Language) -> Meaning:
    parser = treesitter.parser_of(language)
    assert parser is not None, f"no grammar of {language.name}"
    words: list[str] = []
    local: dict[str, str] = {}
    waiting = [parser.parse(text.encode()).root_node]
    while waiting:
        node = waiting.pop()
        if "comment" in node.type:
            continue
        if node.child_count:
            waiting.extend(reversed(node.children))
            continue
        word = (node.text or b"").decode()
        words.append(word)
        # In Go a list of names stands between a name and its declaration.
        above = node.parent
        if above is not None and above.type == "expression_list":
            above = above.parent
        if node.type == "identifier" and above is not None and _DECLARES.search(above.type):
            local.setdefault(word, f"local {len(local)}")
    shape = [local.get(word, word) for word in words]
    return Meaning(_hash("\0".join(words)), _hash("\0".join(shape)))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]
