"""Conversation -> token ids and the token whose scalar is the score.

Text never becomes control tokens: special tokens count where the template wrote them, never where
a user did. Text without any is encoded by the tokenizer in one go, exactly as the template's own.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from tokenizers import Tokenizer

from reward_model.chat import ChatTokenizer, Conversation, Message, Unencodable, render
from reward_model.packing import Sequence

_MOST_CACHED_TURNS = 64
"""What the template writes around longer conversations is not kept: it takes memory as they do."""

_PRIVATE_USE = range(0xE000, 0xF900)


class TooLong(ValueError):
    """The conversation has more tokens than the model takes; nothing was cut."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(
            f"the conversation has {tokens} tokens and this model takes {limit}: "
            "shorten the prompt or the candidate"
        )
        self.tokens = tokens
        self.limit = limit


class Encoder:
    """Encodes conversations for one checkpoint. Thread-safe: nothing changes after `__init__`.

    Args:
        tokenizer: the checkpoint's tokenizer with its chat template.
        max_tokens: longest sequence the model takes.
        pad_id: transformers reads the rightmost token that differs from this id; None reads the
            last token. A release keeps its pad token out of every text, so there both agree.
    """

    def __init__(self, tokenizer: ChatTokenizer, *, max_tokens: int, pad_id: int | None) -> None:
        self.max_tokens = max_tokens
        self._tokenizer = tokenizer
        self._pad_id = pad_id
        self._parsing = _bare_copy(tokenizer.backend_tokenizer)
        self._literal = _bare_copy(tokenizer.backend_tokenizer)
        self._literal.encode_special_tokens = True
        self._special_ids = _special_ids(tokenizer.backend_tokenizer)
        self._special = _any_of(self._special_ids)
        self._template_specials = lru_cache(maxsize=1024)(self._specials_for_roles)

    def encode(self, conversation: Conversation) -> Sequence:
        """Ids of the rendered conversation and the position of its score.

        Raises:
            TooLong: more than `max_tokens` ids.
            Unencodable: the template refuses the conversation, or renders nothing.
        """
        ids = self._ids(conversation)
        if not ids:
            raise Unencodable("the chat template renders this conversation to no tokens")
        if len(ids) > self.max_tokens:
            raise TooLong(len(ids), self.max_tokens)
        return Sequence(tuple(ids), (self._read_position(ids),))

    def _ids(self, conversation: Conversation) -> list[int]:
        text = render(self._tokenizer, conversation)
        if self._is_benign(conversation, text):
            return list(self._parsing.encode(text, add_special_tokens=False).ids)
        return self._guarded_ids(conversation)

    def _is_benign(self, conversation: Conversation, text: str) -> bool:
        """True when the template alone wrote the special tokens in `text`.

        Searching each content is not enough: a template may join two contents that only together
        spell a special token, so the rendered text's must be those of contents that hold none.
        """
        if any(self._special.search(message.content) for message in conversation):
            return False
        roles = tuple(message.role for message in conversation)
        usual = len(roles) <= _MOST_CACHED_TURNS
        specials = self._template_specials if usual else self._specials_for_roles
        return self._special.findall(text) == specials(roles)

    def _specials_for_roles(self, roles: tuple[str, ...]) -> list[str]:
        text = render(self._tokenizer, tuple(Message(role, "x") for role in roles))
        return self._special.findall(text)

    def _guarded_ids(self, conversation: Conversation) -> list[int]:
        """Ids when contents spell special tokens: those become the tokens of their letters.

        Contents are disguised so that none is spelled any more, the template is applied, what is
        special then is the template's own, and the text between is undisguised and encoded as is.
        """
        disguise = _Disguise(conversation, self._special_ids)
        hidden = tuple(
            Message(role, disguise.put_on(content, self._special)) for role, content in conversation
        )
        ids: list[int] = []
        for text, special in _split(self._special, render(self._tokenizer, hidden)):
            literal = disguise.take_off(text)
            ids.extend(self._literal.encode(literal, add_special_tokens=False).ids)
            if special:
                ids.append(self._special_ids[special])
        return ids

    def _read_position(self, ids: list[int]) -> int:
        if self._pad_id is None:
            return len(ids) - 1
        kept = (index for index in reversed(range(len(ids))) if ids[index] != self._pad_id)
        return next(kept, 0)


class _Disguise:
    """Swaps first letters of special tokens for private-use characters no content contains."""

    def __init__(self, conversation: Conversation, specials: Iterable[str]) -> None:
        used = {letter for message in conversation for letter in message.content}
        unused = [chr(code) for code in _PRIVATE_USE if chr(code) not in used]
        letters = sorted({special[0] for special in specials})
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


def _bare_copy(tokenizer: Tokenizer) -> Tokenizer:
    """A copy of our own: whoever shares the original cannot switch truncation or padding on."""
    copy: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def _special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    added = tokenizer.get_added_tokens_decoder()
    return {token.content: index for index, token in added.items() if token.special}


def _any_of(specials: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(specials, key=len, reverse=True)
    pattern = "|".join(re.escape(special) for special in longest_first)
    return re.compile(f"(?:{pattern})" if pattern else "(?!)")


def _split(special: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    """Pairs of (text before, special token); the last pair's special token is empty."""
    start = 0
    for match in special.finditer(text):
        yield text[start : match.start()], match[0]
        start = match.end()
    yield text[start:], ""
