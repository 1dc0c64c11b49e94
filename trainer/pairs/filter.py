"""Which candidates may be paired. Pure: every one that may not is counted under its reason."""

from collections import Counter
from collections.abc import Iterable

from trainer.pairs.row import Rejected


def usable(
    chosen: str, rejected: Iterable[Rejected], max_characters: int, counts: Counter[str]
) -> tuple[Rejected, ...]:
    """The rejected candidates that teach something beside this chosen one, each text once."""
    kept: dict[str, Rejected] = {}
    for candidate in rejected:
        reason = _reason(candidate.text, chosen, kept, max_characters)
        counts[f"{candidate.kind}: {reason or 'kept'}"] += 1
        if reason is None:
            kept[candidate.text] = candidate
    return tuple(kept.values())


def _reason(text: str, chosen: str, kept: Iterable[str], max_characters: int) -> str | None:
    if not text.strip():
        return "empty"
    if text.split() == chosen.split():
        return "identical to chosen"
    if text in kept:
        return "duplicate"
    if len(text) > max_characters:
        return "too long"
    return None
