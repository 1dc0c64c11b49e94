"""Finds the code in a model's answer, recognizes it, and compares two of them. All pure."""

import ast
import re
import warnings
from difflib import SequenceMatcher
from textwrap import dedent

_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
# Line ends, line starts, calls, assignments and keywords that prose seldom has in any language.
_CODE_LINE = re.compile(
    r"[{};:,(\[]$|^[)}\]]|^(#|//|/\*|\*|@|<)|\w\(.*\)|[=!<>+\-*/&|]="
    r"|\s=\s|^(return|import|from|use|using|package|end|pass|break|continue|raise|throw)\b"
)
# A "#" or "//" within a word, as in C# or a URL, begins no comment.
_COMMENT = re.compile(r"(?<!\S)(?:#|//).*")
_TOKEN = re.compile(r"\w+|\S")


def code_of(answer: str) -> str:
    """The longest fenced block, closed or not; the whole answer when it has no fence."""
    return max(blocks_of(answer), key=len, default=answer.strip("\n").rstrip())


def blocks_of(answer: str) -> list[str]:
    """All fenced blocks, closed or not, in their order."""
    found = [dedent(match[1]) for match in _FENCE.finditer(answer)]
    return [block.strip("\n").rstrip() for block in found]


def is_fenced(answer: str) -> bool:
    return _FENCE.search(answer) is not None


def looks_like_code(text: str) -> bool:
    """Whether at least half of the lines look like code: a guess that works for any language."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    coded = sum(1 for line in lines if _CODE_LINE.search(line))
    return 2 * coded >= len(lines) > 0


def parses(source: str) -> bool:
    """Whether the source is Python with a statement or a call, not just a word or a string."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escapes in the source
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(not isinstance(n, ast.Expr) or isinstance(n.value, ast.Call) for n in tree.body)


def similarity(left: str, right: str) -> float:
    """Share of common tokens in the same order, 0 to 1; comments and layout do not count."""
    one, other = (_TOKEN.findall(_COMMENT.sub("", source)) for source in (left, right))
    # autojunk would ignore tokens that occur often, which in code are names as well as brackets.
    return SequenceMatcher(None, one, other, autojunk=False).ratio()
