"""Filters rejected answers, and counts each of them under its fate."""

import ast
import warnings
from collections import Counter
from collections.abc import Iterable

from trainer.pairs.group import trimmed
from trainer.pairs.row import Rejected


def usable(
    chosen: str, rejected: Iterable[Rejected], max_characters: int, counts: Counter[str]
) -> tuple[Rejected, ...]:
    """The rejected answers that teach something beside this chosen one, each text once."""
    kept: dict[str, Rejected] = {}
    for answer in rejected:
        fate = "kept"
        if not answer.text.strip():
            fate = "empty"
        elif is_same_program(answer.text, chosen):
            fate = "identical to chosen"
        elif answer.text in kept:
            fate = "duplicate"
        elif len(answer.text) > max_characters:
            fate = "too long"
        counts[f"{answer.kind}: {fate}"] += 1
        if fate == "kept":
            kept[answer.text] = answer
    return tuple(kept.values())


def is_same_program(first: str, second: str) -> bool:
    """Whether two texts are the same but for their layout, and so neither is the worse one.

    Python is compared by its syntax tree: a wider indentation changes nothing, another depth does.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # about invalid escapes in the source
            trees = [ast.dump(ast.parse(text)) for text in (first, second)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return trimmed(first) == trimmed(second)
    return trees[0] == trees[1]
