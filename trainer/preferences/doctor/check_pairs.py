"""Checks of texts: pairs that contradict or repeat each other, and what was not held out."""

from collections import Counter
from collections.abc import Iterator

from trainer.pairs.group import normalised, squeezed
from trainer.pairs.row import PreferenceRow, Request, turns
from trainer.preferences.doctor.findings import Finding

_Compared = tuple[str, str, str]
"""Prompt, chosen and rejected text, apart from white space."""


def examine_pairs(train: list[PreferenceRow], evaluation: list[PreferenceRow]) -> list[Finding]:
    """Each check once."""
    compared = Counter(pair for row in train for pair in _compared(row))
    return [
        _empty(train),
        _contradictory(train, compared),
        _duplicate(train, compared),
        _held_out(train, evaluation),
    ]


def _compared(row: PreferenceRow) -> Iterator[_Compared]:
    """A row's pairs but those of one text, which the check of lengths finds."""
    prompt = " ".join(f"{role}: {squeezed(text)}" for role, text in turns(row.prompt))
    chosen = squeezed(row.chosen)
    for rival in row.rejected:
        if squeezed(rival.text) != chosen:
            yield prompt, chosen, squeezed(rival.text)


def _empty(rows: list[PreferenceRow]) -> Finding:
    found = [row.id for row in rows if _has_empty(row)]
    if not found:
        return Finding("empty", "fine", "no text is")
    message = f"{len(found)} rows have an empty prompt or answer: remove them"
    return Finding("empty", "warning", message, len(found), found[0])


def _has_empty(row: PreferenceRow) -> bool:
    texts = [turns(row.prompt)[-1].content, row.chosen, *(rival.text for rival in row.rejected)]
    return not all(text.strip() for text in texts)


def _contradictory(rows: list[PreferenceRow], compared: Counter[_Compared]) -> Finding:
    found = [
        row.id
        for row in rows
        for prompt, chosen, rejected in _compared(row)
        if (prompt, rejected, chosen) in compared
    ]
    if not found:
        return Finding("contradictory", "fine", "no pair says the opposite of another")
    message = f"{len(found)} pairs are there both ways round: keep neither, or the better source's"
    return Finding("contradictory", "warning", message, len(found), found[0])


def _duplicate(rows: list[PreferenceRow], compared: Counter[_Compared]) -> Finding:
    extra = sum(count - 1 for count in compared.values())
    if not extra:
        return Finding("duplicate", "fine", "no pair is there twice")
    first = next(row.id for row in rows for pair in _compared(row) if compared[pair] > 1)
    message = f"{extra} pairs repeat another and count as often: remove them, or mean it as weight"
    return Finding("duplicate", "warning", message, extra, first)


def _held_out(train: list[PreferenceRow], evaluation: list[PreferenceRow]) -> Finding:
    """By group, and by request: the same problem may have another group in another source."""
    groups = {row.group for row in train}
    requests = {_normalised(row.prompt) for row in train}
    by_group = [row.id for row in evaluation if row.group in groups]
    by_request = [row.id for row in evaluation if _normalised(row.prompt) in requests]
    if not evaluation:
        return Finding("held out", "fine", "nothing is evaluated")
    if not by_group and not by_request:
        return Finding("held out", "fine", f"all {len(evaluation)} evaluation rows")
    found = [*by_group, *by_request]
    return Finding(
        "held out",
        "fatal",
        f"of {len(evaluation)} evaluation rows {len(by_group)} share a group and {len(by_request)} "
        "a request with training rows: split by problem, or drop them from training",
        len(set(found)),
        found[0],
    )


def _normalised(prompt: Request) -> str:
    return "\n".join(normalised(turn.content) for turn in turns(prompt))
