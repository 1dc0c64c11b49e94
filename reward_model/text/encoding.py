"""Conversation -> token ids and the tokens whose scalars are the scores.

Text never becomes control tokens: special tokens count where the template wrote them, never where
a user did. Text without any is encoded by the tokenizer in one go, exactly as the template's own.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache

from tokenizers import Encoding, Tokenizer

from reward_model.packing import Sequence
from reward_model.text.chat import ChatTokenizer, Conversation, Message, Unencodable, render
from reward_model.text.special_tokens import Disguise, any_of, split, unused_characters

_MOST_CACHED_TURNS = 64
"""What the template writes around longer conversations is not kept: it takes memory as they do."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text that its sender rendered: special tokens in it are tokens, as they are meant to be.

    Attributes:
        add_special_tokens: put before and after it what the tokenizer would.
        last: keep so many tokens from its end; None keeps all.
    """

    text: str
    add_special_tokens: bool = False
    last: int | None = None


@dataclass(slots=True)
class _Encoded:
    """Ids of a text, and where in it each of them ends."""

    ids: list[int]
    ends: list[int]

    def add(self, encoding: Encoding, start: int) -> None:
        self.ids.extend(encoding.ids)
        self.ends.extend(start + end for _, end in encoding.offsets)


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
        self._vocabulary = 1 + max(tokenizer.backend_tokenizer.get_vocab().values())
        self._special = any_of(self._special_ids)
        self._template_specials = lru_cache(maxsize=1024)(self._specials_for_roles)

    def encode(self, conversation: Conversation, step_ends: tuple[int, ...] = ()) -> Sequence:
        """Ids of the rendered conversation and the position of its score.

        Args:
            step_ends: ascending; where the steps of the last message end, in characters of it. The
                tokens that hold their last characters are read, too, before that of the score.

        Raises:
            TooLong: more than `max_tokens` ids.
            Unencodable: the template refuses the conversation, or renders nothing.
        """
        text = render(self._tokenizer, conversation)
        if not step_ends:
            return self.checked(self._ids(conversation, text))
        encoded = self._with_ends(conversation, text)
        sequence = self.checked(encoded.ids)
        start = self._start_of_answer(conversation, text)
        steps = (_token_at(encoded.ends, start + end) for end in step_ends)
        return Sequence(sequence.ids, (*steps, *sequence.read_at))

    def encode_rendered(self, rendered: Rendered) -> Sequence:
        """Ids of a text as it is, without template. Raises as `encode` does."""
        ids = self._parsing.encode(
            rendered.text, add_special_tokens=rendered.add_special_tokens
        ).ids
        return self.checked(ids if rendered.last is None else ids[-rendered.last :])

    def checked(self, ids: list[int]) -> Sequence:
        """Ids that somebody else encoded. Raises as `encode` does, or for ids out of vocabulary."""
        if not ids:
            raise Unencodable("the chat template renders this conversation to no tokens")
        if len(ids) > self.max_tokens:
            raise TooLong(len(ids), self.max_tokens)
        if not 0 <= min(ids) <= max(ids) < self._vocabulary:
            raise Unencodable(f"token ids of this model are from 0 to {self._vocabulary - 1}")
        return Sequence(tuple(ids), (self._read_position(ids),))

    def count(self, conversation: Conversation) -> int:
        """Tokens of the rendered conversation, however many."""
        return len(self._ids(conversation, render(self._tokenizer, conversation)))

    def token_spans(self, content: str) -> list[tuple[int, int]]:
        """First and end character of each token of a text by itself."""
        spans: list[tuple[int, int]] = self._literal.encode(
            content, add_special_tokens=False
        ).offsets
        return spans

    def _ids(self, conversation: Conversation, text: str) -> list[int]:
        if self._is_benign(conversation, text):
            return list(self._parsing.encode(text, add_special_tokens=False).ids)
        return self._guarded(conversation).ids

    def _with_ends(self, conversation: Conversation, text: str) -> _Encoded:
        if not self._is_benign(conversation, text):
            return self._guarded(conversation)
        encoded = _Encoded([], [])
        encoded.add(self._parsing.encode(text, add_special_tokens=False), 0)
        return encoded

    def _start_of_answer(self, conversation: Conversation, text: str) -> int:
        """Where the last message's own first character is, or would be, in the rendered text.

        Raises:
            Unencodable: the template does more to it than to strip it.
        """
        role, content = conversation[-1]
        mark = next(iter(unused_characters(conversation)), "")
        start = render(self._tokenizer, (*conversation[:-1], Message(role, mark))).find(mark)
        core = content.strip()
        if mark and text.startswith(content, start):
            return start
        if mark and text.startswith(core, start):
            return start - content.index(core)
        raise Unencodable("the chat template changes the text, so its steps cannot be found in it")

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

    def _guarded(self, conversation: Conversation) -> _Encoded:
        """Ids when contents spell special tokens: those become the tokens of their letters.

        Contents are disguised so that none is spelled any more, the template is applied, what is
        special then is the template's own, and the text between is undisguised and encoded as is.
        """
        disguise = Disguise(conversation, self._special_ids)
        hidden = tuple(
            Message(role, disguise.put_on(content, self._special)) for role, content in conversation
        )
        encoded, start = _Encoded([], []), 0
        for text, special in split(self._special, render(self._tokenizer, hidden)):
            literal = disguise.take_off(text)
            encoded.add(self._literal.encode(literal, add_special_tokens=False), start)
            start += len(literal) + len(special)
            if special:
                encoded.ids.append(self._special_ids[special])
                encoded.ends.append(start)
        return encoded

    def _read_position(self, ids: list[int]) -> int:
        if self._pad_id is None:
            return len(ids) - 1
        kept = (index for index in reversed(range(len(ids))) if ids[index] != self._pad_id)
        return next(kept, 0)


def _token_at(ends: list[int], end: int) -> int:
    """The token with which the character before `end` is whole: one may take several tokens."""
    return max(bisect_left(ends, end), bisect_right(ends, end) - 1)


def _bare_copy(tokenizer: Tokenizer) -> Tokenizer:
    """A copy of our own: whoever shares the original cannot switch truncation or padding on."""
    copy: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def _special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    added = tokenizer.get_added_tokens_decoder()
    return {token.content: index for index, token in added.items() if token.special}
