"""Code in a model's answer: taken out of its fence, recognised, and compared. All pure."""

import ast
import re
import warnings
from difflib import SequenceMatcher
from textwrap import dedent

_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_CODE_LINE = re.compile(
    r"[{};:,(\[]$|^[)}\]]|^(#|//|/\*|\*|@|<)|\w\(.*\)|[=!<>+\-*/&|]="
    r"|\s=\s|^(return|import|from|use|using|package|end|pass|break|continue|raise|throw)\b"
)
_COMMENT = re.compile(r"(?<!\S)(?:#|//).*")
_TOKEN = re.compile(r"\w+|\S")


def code_of(answer: str) -> str:
    """The longest fenced block, closed or not; the whole answer where nothing is fenced."""
    blocks = [dedent(match[1]) for match in _FENCE.finditer(answer)]
    return max(blocks, key=len, default=answer).strip("\n").rstrip()


def is_fenced(answer: str) -> bool:
    return _FENCE.search(answer) is not None


def looks_like_code(text: str) -> bool:
    """Whether at least half of the lines do. For any language, so no more than a guess."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    coded = sum(1 for line in lines if _CODE_LINE.search(line))
    return 2 * coded >= len(lines) > 0


def parses(source: str) -> bool:
    """Whether it is Python that does something: a lone word or string parses, and does not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the source's own escapes and comparisons
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(not isinstance(n, ast.Expr) or isinstance(n.value, ast.Call) for n in tree.body)


def similarity(left: str, right: str) -> float:
    """Share of tokens in common and in order, 0 to 1; comments and layout do not count."""
    matcher = SequenceMatcher(None, _tokens(left), _tokens(right), autojunk=False)
    return matcher.ratio()


def _tokens(source: str) -> list[str]:
    return _TOKEN.findall(_COMMENT.sub("", source))
