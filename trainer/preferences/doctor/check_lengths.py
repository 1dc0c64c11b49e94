"""Checks of lengths: rows that are too long, that the template refuses or makes equal."""

import numpy as np

from trainer.pairs.encoded import EncodedRow
from trainer.pairs.row import PreferenceRow
from trainer.preferences.doctor.findings import Finding

# Share of longer chosen answers from which length alone is a strong guess.
_ONE_SIDED = 0.65

# Pairs from which the share says something: ten heads in a row may be chance, twenty are not.
_MIN_PAIRS = 20

# Ratio of two answers' lengths beyond which one rarely answers the same question.
_FAR_APART = 10


def spread(rows: list[EncodedRow], limit: int) -> dict[str, int]:
    """Tokens of all conversations, long ones included: the figures by which to choose a limit."""
    tokens = [
        text.tokens
        for row in rows
        if not row.refused
        for text in (row.chosen, *(rival.text for rival in row.rejected))
    ]
    if not tokens:
        return {"limit": limit}
    median, p99, longest = np.quantile(tokens, [0.5, 0.99, 1.0])
    return {"median": int(median), "99 %": int(p99), "longest": int(longest), "limit": limit}


def refused_rows(rows: list[EncodedRow]) -> Finding:
    refused = [row.id for row in rows if row.refused]
    if not refused:
        return Finding("refused", "fine", "the template takes every conversation")
    return Finding(
        "refused",
        "fatal",
        f"the template refuses {len(refused)} rows, and training would stop there: filter them, "
        "or take a template that knows their roles",
        len(refused),
        refused[0],
    )


def over_length(rows: list[EncodedRow], limit: int) -> Finding:
    """Pairs that training leaves out: a chosen answer that is too long takes all of its row's."""
    lost = [
        row.id
        for row in rows
        for rival in row.rejected
        if not (row.chosen.fits and rival.text.fits)
    ]
    pairs = sum(len(row.rejected) for row in rows)
    if len(lost) == pairs:
        message = f"no pair of {pairs} fits into {limit} tokens"
        return Finding("over length", "fatal", message, len(lost))
    if not lost:
        return Finding("over length", "fine", f"all {pairs} pairs fit, nothing is cut")
    return Finding(
        "over length",
        "warning",
        f"{len(lost)} of {pairs} pairs exceed {limit} tokens and are left out, never cut: raise "
        "the limit, or filter if long answers matter",
        len(lost),
        lost[0],
    )


def identical_texts(rows: list[EncodedRow]) -> Finding:
    """Pairs whose texts have the same tokens, as when the template strips what they differ in."""
    same = [
        row.id
        for row in rows
        for rival in row.rejected
        if rival.text.fits and rival.text.ids == row.chosen.ids
    ]
    if not same:
        return Finding("identical", "fine", "no pair compares a text with itself")
    fitting = sum(rival.text.fits and row.chosen.fits for row in rows for rival in row.rejected)
    return Finding(
        "identical",
        "fatal" if len(same) == fitting else "warning",
        f"{len(same)} pairs have the same tokens on both sides and teach nothing: remove them",
        len(same),
        same[0],
    )


def length_bias(rows: list[EncodedRow]) -> Finding:
    """How often the chosen answer is the longer one."""
    # The prompt is the same, so the longer conversation has the longer answer.
    more = [row.chosen.tokens - rival.text.tokens for row in rows for rival in row.rejected]
    unequal = [tokens for tokens in more if tokens]
    if not unequal:
        return Finding("length bias", "fine", "chosen and rejected are equally long")
    longer = sum(tokens > 0 for tokens in unequal)
    share = longer / len(unequal)
    message = f"the chosen answer is the longer one in {share:.0%} of {len(unequal)} pairs"
    if len(unequal) < _MIN_PAIRS:
        return Finding("length bias", "fine", f"{message}, too few to tell", longer)
    if 1 - _ONE_SIDED < share < _ONE_SIDED:
        return Finding("length bias", "fine", message, longer)
    advice = "a model that counts tokens is right as often: read results beside that baseline"
    return Finding("length bias", "warning", f"{message}: {advice}", longer)


def extreme_lengths(rows: list[PreferenceRow]) -> Finding:
    """Pairs in which one answer has many times the characters of the other."""
    found = []
    for row in rows:
        for rival in row.rejected:
            shorter, longer = sorted([len(row.chosen.strip()), len(rival.text.strip())])
            # An empty answer is found by a check of its own.
            if 0 < shorter * _FAR_APART < longer:
                found.append(row.id)
    if not found:
        return Finding("extreme lengths", "fine", "no answer is many times as long as its rival")
    return Finding(
        "extreme lengths",
        "warning",
        f"{len(found)} pairs where one answer is over {_FAR_APART} times as long: look at some",
        len(found),
        found[0],
    )
