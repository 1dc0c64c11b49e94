"""Filters rejected answers, and counts each of them under its fate."""

from collections import Counter
from collections.abc import Iterable

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
        # White space alone makes no answer wrong.
        elif answer.text.split() == chosen.split():
            fate = "identical to chosen"
        elif answer.text in kept:
            fate = "duplicate"
        elif len(answer.text) > max_characters:
            fate = "too long"
        counts[f"{answer.kind}: {fate}"] += 1
        if fate == "kept":
            kept[answer.text] = answer
    return tuple(kept.values())
