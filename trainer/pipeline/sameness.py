"""The rule by which two texts are the same for leakage; every check of leakage uses it.

Case, white space, the width of letters and sentence punctuation make no difference, because
another data set writes the same problem with others: "2+2" is "2 + 2", and "Sort a list." is "sort
a list". Every other symbol does, because it changes what is asked: "a < b" is not "a > b".
"""

import re
import unicodedata

_WORD = re.compile(r"\w+")
_WORD_OR_SYMBOL = re.compile(r"\w+|[^\w\s]")
_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\u2010](?=[^\W\d_])")
"""A hyphen between two letters; one beside a digit or a space may be a minus."""

_PUNCTUATION = frozenset(".,;:!?\"'`$\u2018\u2019\u201c\u201d")
"""Marks that separate or quote words and name no operation; `$` quotes a formula."""


def text_key(text: str) -> str:
    """Equal for texts that are the same for leakage."""
    tokens = _WORD_OR_SYMBOL.findall(_HYPHEN.sub(" ", _folded(text)))
    kept = [token for token in tokens if token not in _PUNCTUATION]
    return " ".join(kept or tokens)  # "?" and "!" are two texts though both are punctuation alone


def words(text: str) -> list[str]:
    """The words of a text in the same spelling, without any symbol.

    For runs of words in source code, where a copy may be laid out with other punctuation.
    """
    return _WORD.findall(_folded(text))


def _folded(text: str) -> str:
    # Compatibility forms such as full-width letters become the usual ones before case is folded.
    return unicodedata.normalize("NFKC", text).casefold()
