"""Which answers are kept, and why the others are not. Pure: a reason or None."""

import re
from dataclasses import dataclass
from typing import Literal

from trainer.synthesis.code import code_of, is_fenced, looks_like_code, parses

_REFUSAL = re.compile(
    r"^\W*(?:(?:i'?m|i am) (?:very |really |so )?(?:sorry|unable|not able|afraid)|sorry\b|apologies"
    r"|unfortunately,? i\b|as an? (?:ai|language model|assistant)\b"
    r"|i (?:can ?not|can'?t|won'?t|will not|must decline|don'?t have)\b)",
    re.IGNORECASE,
)
_FEWEST_WORDS = 3

Side = Literal["both", "chosen", "neither"]


@dataclass(frozen=True)
class AnswerLimits:
    """What makes an answer unfit.

    Attributes:
        max_characters: longer texts are left out.
        keep_truncated: whether answers that `max_tokens` cut short are kept. Cut answers of the
            weak side alone would teach length.
        parses: sides whose Python must parse. Code that does not is a fair loser and a bad winner.
    """

    max_characters: int = 4000
    keep_truncated: bool = False
    parses: Side = "chosen"


def unfit_description(text: str, finish_reason: str, limits: AnswerLimits) -> str | None:
    """Why this is no description of code that a model could be asked to write."""
    if reason := _unfit(text, finish_reason, limits):
        return reason
    if is_fenced(text):
        return "code in it"
    return "too short" if len(text.split()) < _FEWEST_WORDS else None


def unfit_code(
    text: str, finish_reason: str, limits: AnswerLimits, *, language: str, chosen: bool
) -> str | None:
    """Why the code in this answer cannot be on this side of a pair."""
    code = code_of(text)
    if reason := _unfit(code, finish_reason, limits):
        return reason
    must_parse = limits.parses == "both" or (limits.parses == "chosen" and chosen)
    if language == "python" and must_parse:
        return None if parses(code) else "non-code: does not parse"
    return None if is_fenced(text) or looks_like_code(code) else "non-code"


def _unfit(text: str, finish_reason: str, limits: AnswerLimits) -> str | None:
    if not text.strip():
        return "empty"
    if _REFUSAL.match(text):
        return "refusal"
    if finish_reason == "length" and not limits.keep_truncated:
        return "truncated"
    return "over-long" if len(text) > limits.max_characters else None
