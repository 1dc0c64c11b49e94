"""Checks of encoded rows: what is too long, what the template makes equal or refuses."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from reward_model.text.chat import Unencodable
from reward_model.text.encoding import Encoder, TooLong
from trainer.pairs.row import PreferenceRow, Request, conversation
from trainer.preferences.doctor.findings import Finding

_ONE_SIDED = 0.65
"""Share of longer chosen answers from which length alone is a strong guess."""

_FAR_APART = 10
"""Times as long: one of the two is rarely an answer to the same question."""


@dataclass(frozen=True)
class Measured:
    """Tokens of a row's conversations, whether or not they fit.

    Attributes:
        same: rejected answers whose ids are the chosen one's.
    """

    row: PreferenceRow
    chosen: int
    rejected: tuple[int, ...]
    same: int

    def left_out(self, limit: int) -> int:
        """PreferenceRow that training leaves out: all, when the chosen answer is too long."""
        if self.chosen > limit:
            return len(self.rejected)
        return sum(tokens > limit for tokens in self.rejected)


@dataclass(frozen=True)
class _Encoded:
    """Ids as far as they fit: those of a text that is too long are never trained on."""

    tokens: int
    ids: tuple[int, ...]


def measure(rows: Iterable[PreferenceRow], encoder: Encoder) -> tuple[list[Measured], list[str]]:
    """Every row encoded; and the ids of those that the template refuses."""
    measured, refused = [], []
    for row in tqdm(rows, desc="doctor", unit=" rows"):
        try:
            measured.append(_measured(row, encoder))
        except Unencodable:
            refused.append(row.id)
    return measured, refused


def examine_lengths(measured: list[Measured], refused: list[str], limit: int) -> list[Finding]:
    """Each check once."""
    return [
        _refused(refused),
        _over_length(measured, limit),
        _same(measured),
        _length_bias(measured),
        _far_apart(measured),
    ]


def spread(measured: list[Measured], limit: int) -> dict[str, int]:
    """Tokens of all conversations: the figures by which to choose a limit."""
    tokens = [tokens for each in measured for tokens in (each.chosen, *each.rejected)]
    if not tokens:
        return {"limit": limit}
    median, most, longest = np.quantile(tokens, [0.5, 0.99, 1.0])
    return {"median": int(median), "99 %": int(most), "longest": int(longest), "limit": limit}


def _measured(row: PreferenceRow, encoder: Encoder) -> Measured:
    chosen = _encoded(row.prompt, row.chosen, encoder)
    rejected = [_encoded(row.prompt, rival.text, encoder) for rival in row.rejected]
    same = sum(bool(rival.ids) and rival.ids == chosen.ids for rival in rejected)
    return Measured(row, chosen.tokens, tuple(rival.tokens for rival in rejected), same)


def _encoded(prompt: Request, answer: str, encoder: Encoder) -> _Encoded:
    try:
        ids = encoder.encode(conversation(prompt, answer)).ids
    except TooLong as error:
        return _Encoded(error.tokens, ())
    return _Encoded(len(ids), ids)


def _refused(refused: list[str]) -> Finding:
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


def _over_length(measured: list[Measured], limit: int) -> Finding:
    pairs = sum(len(each.rejected) for each in measured)
    lost = [each for each in measured if each.left_out(limit)]
    count = sum(each.left_out(limit) for each in lost)
    if count == pairs:
        return Finding(
            "over length", "fatal", f"no pair of {pairs} fits into {limit} tokens", count
        )
    if not count:
        return Finding("over length", "fine", f"all {pairs} pairs fit, nothing is cut")
    return Finding(
        "over length",
        "warning",
        f"{count} of {pairs} pairs exceed {limit} tokens and are left out, never cut: raise the "
        "limit, or filter if long answers matter",
        count,
        lost[0].row.id,
    )


def _same(measured: list[Measured]) -> Finding:
    same = [each for each in measured if each.same]
    count = sum(each.same for each in same)
    if not count:
        return Finding("identical", "fine", "no pair compares a text with itself")
    return Finding(
        "identical",
        "warning",
        f"{count} pairs have the same tokens on both sides and teach nothing: remove them",
        count,
        same[0].row.id,
    )


def _length_bias(measured: list[Measured]) -> Finding:
    """Prompts are shared, so the longer conversation has the longer answer."""
    more = [each.chosen - tokens for each in measured for tokens in each.rejected]
    unequal = [tokens for tokens in more if tokens]
    if not unequal:
        return Finding("length bias", "fine", "chosen and rejected are equally long")
    longer = sum(tokens > 0 for tokens in unequal)
    share = longer / len(unequal)
    message = f"the chosen answer is the longer one in {share:.0%} of {len(unequal)} pairs"
    if 1 - _ONE_SIDED < share < _ONE_SIDED:
        return Finding("length bias", "fine", message, longer)
    advice = "a model that counts tokens is right as often: read results beside that baseline"
    return Finding("length bias", "warning", f"{message}: {advice}", longer)


def _far_apart(measured: list[Measured]) -> Finding:
    found = [
        each.row.id
        for each in measured
        for rival in each.row.rejected
        if _unlike(each.row, rival.text)
    ]
    if not found:
        return Finding("extreme lengths", "fine", "no answer is many times as long as its rival")
    return Finding(
        "extreme lengths",
        "warning",
        f"{len(found)} pairs where one answer is over {_FAR_APART} times as long: look at some",
        len(found),
        found[0],
    )


def _unlike(row: PreferenceRow, rejected: str) -> bool:
    shorter, longer = sorted([len(row.chosen.strip()), len(rejected.strip())])
    return 0 < shorter * _FAR_APART < longer
