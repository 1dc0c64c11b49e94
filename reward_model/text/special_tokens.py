"""Special tokens that a user's text spells, escaped so that they never become control tokens."""

import re
from collections.abc import Iterable, Iterator

from reward_model.text.chat import Unencodable

# Unicode's private-use area in the basic plane: characters that mean nothing by themselves.
_PRIVATE_USE = range(0xE000, 0xF900)


class SpecialTokenEscaper:
    """Replaces first letters of special tokens by private-use characters that no content contains.

    Raises:
        Unencodable: the contents leave too few private-use characters.
    """

    def __init__(self, texts: Iterable[str], specials: Iterable[str]) -> None:
        letters = sorted({special[0] for special in specials})
        unused = unused_characters(texts)
        if len(unused) <= len(letters):
            raise Unencodable("the conversation uses up Unicode's private-use characters")
        self._edge = unused[-1]
        self._escapes = dict(zip(letters, unused, strict=False))
        self._originals = {ord(new): old for old, new in self._escapes.items()}
        self._originals[ord(self._edge)] = ""

    def escape(self, content: str, special: re.Pattern[str]) -> str:
        """Return the content without a special token in it, and with a mark at either edge."""
        inner = re.sub(f"(?s)(?={special.pattern}).", lambda m: self._escapes[m[0]], content)
        core = inner.strip()
        # The marks keep a special token from forming where a template joins two contents. They go
        # inside the outer white space, so that a template that strips it still does.
        return inner.replace(core, f"{self._edge}{core}{self._edge}", 1) if core else inner

    def unescape(self, text: str) -> str:
        return text.translate(self._originals)


def unused_characters(texts: Iterable[str]) -> list[str]:
    """Return the private-use characters that no text contains."""
    used = {letter for text in texts for letter in text}
    return [chr(code) for code in _PRIVATE_USE if chr(code) not in used]


def any_of(specials: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that matches each special token; without any, it matches nothing."""
    # The first alternative that matches wins, so a token goes before its own prefixes.
    longest_first = sorted(specials, key=len, reverse=True)
    pattern = "|".join(re.escape(special) for special in longest_first)
    return re.compile(f"(?:{pattern})" if pattern else "(?!)")


def split(special: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    """Yield pairs of text and the special token after it; the last pair's token is empty."""
    start = 0
    for match in special.finditer(text):
        yield text[start : match.start()], match[0]
        start = match.end()
    yield text[start:], ""
