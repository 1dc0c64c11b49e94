"""Where an answer's lines end, in characters and in tokens. Pure, and knows nothing of samples."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

# From the end of a line's text to the start of the next line that is not blank, which keeps its
# indentation. The lookbehind lets a run of white space be tried at its beginning only.
_LINE_END = re.compile(r"(?<!\s)\s*\n")


class LineEnd(NamedTuple):
    """The end of a line as a range of characters, in any place of which a cut ends the line.

    Attributes:
        first: characters up to the end of the line's text.
        last: characters up to the start of the next line that is not blank.
    """

    first: int
    last: int


def line_ends(text: str) -> list[LineEnd]:
    """The end of every line but the last. Blank lines belong to the line before them."""
    whole = text.rstrip()
    begin = len(whole) - len(whole.lstrip())
    found = (LineEnd(*match.span()) for match in _LINE_END.finditer(whole))
    return [end for end in found if end.first > begin]


def token_ends(tokenizer: Tokenizer, ids: Sequence[int], text: str) -> list[int]:
    """Characters of `text` up to the end of each token.

    A token that ends within a character has the end of the token before it. Empty if the ids are
    not those of this text: a text may go on in further tokens, of which it was cut.
    """
    stream = DecodeStream(skip_special_tokens=True)
    decoded, ends = "", []
    for token in ids:
        decoded += stream.step(tokenizer, token) or ""
        ends.append(len(decoded))
    return ends if decoded.startswith(text) else []


def cut_at(end: LineEnd, boundaries: Sequence[int]) -> int:
    """Number of tokens up to a line end: to the last boundary at it, or else the last before it.

    Tokenizers differ in whether a line end begins a token (with the indentation that follows) or
    ends one (with the bracket before it), so both count as being at the line end.
    """
    fitting = [number for number, place in enumerate(boundaries, 1) if place <= end.last]
    # Of several tokens with one end, the last one completes the character.
    return fitting[-1] if fitting else 0
