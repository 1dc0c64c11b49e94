"""Special tokens that a user spelled, hidden from a template and from a tokenizer."""

import re
from collections.abc import Iterable, Iterator

from reward_model.text.chat import Conversation, Unencodable

_PRIVATE_USE = range(0xE000, 0xF900)


class Disguise:
    """Swaps first letters of special tokens for private-use characters no content contains."""

    def __init__(self, conversation: Conversation, specials: Iterable[str]) -> None:
        letters = sorted({special[0] for special in specials})
        unused = unused_characters(conversation)
        if len(unused) <= len(letters):
            raise Unencodable("the conversation uses up Unicode's private-use characters")
        self._edge = unused[-1]
        self._letters = dict(zip(letters, unused, strict=False))
        self._original = {ord(new): old for old, new in self._letters.items()}
        self._original[ord(self._edge)] = ""

    def put_on(self, content: str, special: re.Pattern[str]) -> str:
        """No special token is left inside; the edges stop one from forming across contents.

        Edges go inside the outer white space, so that a template that strips still strips.
        """
        inner = re.sub(f"(?s)(?={special.pattern}).", lambda m: self._letters[m[0]], content)
        core = inner.strip()
        return inner.replace(core, f"{self._edge}{core}{self._edge}", 1) if core else inner

    def take_off(self, text: str) -> str:
        return text.translate(self._original)


def unused_characters(conversation: Conversation) -> list[str]:
    """Private-use characters that no content contains."""
    used = {letter for message in conversation for letter in message.content}
    return [chr(code) for code in _PRIVATE_USE if chr(code) not in used]


def any_of(specials: Iterable[str]) -> re.Pattern[str]:
    """Matches each special token, the longest first; without any, nothing."""
    longest_first = sorted(specials, key=len, reverse=True)
    pattern = "|".join(re.escape(special) for special in longest_first)
    return re.compile(f"(?:{pattern})" if pattern else "(?!)")


def split(special: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    """Pairs of (text before, special token); the last pair's special token is empty."""
    start = 0
    for match in special.finditer(text):
        yield text[start : match.start()], match[0]
        start = match.end()
    yield text[start:], ""
