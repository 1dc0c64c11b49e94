"""Filters of models' answers. Each is pure and returns a reason to drop an answer, or None."""

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
_MIN_WORDS = 3  # of a description

Side = Literal["both", "chosen", "neither"]


@dataclass(frozen=True)
class AnswerLimits:
    """Limits beyond which an answer is dropped.

    Attributes:
        max_characters: longer texts are dropped.
        keep_truncated: whether answers that `max_tokens` cut short are kept. When only the weak
            side is cut, a model learns to prefer length.
        parses: sides whose Python must parse. Code that does not parse may be rejected, and must
            not be chosen.
    """

    max_characters: int = 4000
    keep_truncated: bool = False
    parses: Side = "chosen"


def unfit_description(text: str, finish_reason: str, limits: AnswerLimits) -> str | None:
    """The reason why this text is no request for code, or None."""
    if reason := _unfit(text, finish_reason, limits):
        return reason
    if is_fenced(text):
        return "code in it"
    return "too short" if len(text.split()) < _MIN_WORDS else None


def unfit_code(
    text: str, finish_reason: str, limits: AnswerLimits, *, language: str, chosen: bool
) -> str | None:
    """The reason why the code in this answer cannot be on this side of a pair, or None."""
    code = code_of(text)
    if reason := _unfit(code, finish_reason, limits):
        return reason
    must_parse = limits.parses == "both" or (limits.parses == "chosen" and chosen)
    if language == "python" and must_parse:
        return None if parses(code) else "non-code: does not parse"
    # Whatever a model fences it means as code; only unfenced text needs a guess.
    return None if is_fenced(text) or looks_like_code(code) else "non-code"


def _unfit(text: str, finish_reason: str, limits: AnswerLimits) -> str | None:
    if not text.strip():
        return "empty"
    if _REFUSAL.match(text):
        return "refusal"
    if finish_reason == "length" and not limits.keep_truncated:
        return "truncated"
    return "over-long" if len(text) > limits.max_characters else None
