"""Encodes conversations: their token ids, and the positions at which scores are read.

Text never becomes control tokens: special tokens count where the template wrote them, never where
a user did. Text without any is encoded by the tokenizer in one go, exactly as the template's own.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache

from tokenizers import Encoding, Tokenizer

from reward_model.packing import Sequence
from reward_model.text.chat import (
    NO_INPUTS,
    ChatTokenizer,
    Conversation,
    Message,
    TemplateInputs,
    Unencodable,
    mapped,
    render,
    texts,
)
from reward_model.text.special_tokens import SpecialTokenEscaper, any_of, split, unused_characters

# Longer conversations do not enter the cache of template specials: an entry grows with them.
_MAX_CACHED_TURNS = 64


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text whose sender applied the template: special tokens in it are meant as tokens.

    Attributes:
        add_special_tokens: add what the tokenizer adds before and after a text.
        last: how many tokens to keep, from the end; None keeps all.
    """

    text: str
    add_special_tokens: bool = False
    last: int | None = None


@dataclass(slots=True)
class _TokenizedText:
    """Ids of a text, and for each the number of characters up to its end."""

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
        max_tokens: the longest sequence that the model takes.
        pad_id: the score is read at the last token that differs from this id, as transformers reads
            it; None reads the last token. A release keeps its pad token out of every text, so both
            are the same there.
        embeddings: rows of the model's embedding, where they may be fewer than the tokens; a text
            with a token beyond them cannot be encoded.
    """

    def __init__(
        self,
        tokenizer: ChatTokenizer,
        *,
        max_tokens: int,
        pad_id: int | None,
        embeddings: int | None = None,
    ) -> None:
        self.max_tokens = max_tokens
        self._tokenizer = tokenizer
        self._pad_id = pad_id
        backend = tokenizer.backend_tokenizer
        self._parsing = _bare_copy(backend)
        self._literal = _bare_copy(backend)
        # Encodes special tokens as their letters.
        self._literal.encode_special_tokens = True
        added = backend.get_added_tokens_decoder()
        self._special_ids = {token.content: id_ for id_, token in added.items() if token.special}
        tokens = 1 + max(backend.get_vocab().values())
        self._vocabulary = min(tokens, embeddings or tokens)
        self._special = any_of(self._special_ids)
        self._cached_specials_for_roles = lru_cache(maxsize=1024)(self._specials_for_roles)

    def encode(
        self,
        conversation: Conversation,
        step_ends: tuple[int, ...] = (),
        inputs: TemplateInputs = NO_INPUTS,
    ) -> Sequence:
        """Encode a conversation: the ids of its rendering and the position of its score.

        Args:
            step_ends: ascending; characters of the last message up to the end of each step. The
                tokens that hold those last characters are read as well, before that of the score.

        Raises:
            TooLong: more than `max_tokens` ids.
            Unencodable: the template refuses the conversation, or renders nothing.
        """
        text = render(self._tokenizer, conversation, inputs)
        if not step_ends:
            return self.checked(self._ids(conversation, inputs, text))
        if self._only_template_specials(conversation, inputs, text):
            tokenized = _TokenizedText([], [])
            tokenized.add(self._parsing.encode(text, add_special_tokens=False), 0)
        else:
            tokenized = self._tokenize_escaped(conversation, inputs)
        sequence = self.checked(tokenized.ids)
        start = self._start_of_answer(conversation, inputs, text)
        ends = tokenized.ends
        # A character may take several tokens, which all end after it: the last of them is read.
        steps = (
            max(bisect_left(ends, start + end), bisect_right(ends, start + end) - 1)
            for end in step_ends
        )
        return Sequence(sequence.ids, (*steps, *sequence.read_at))

    def encode_rendered(self, rendered: Rendered) -> Sequence:
        """Encode a text as it is, without a template. Raises as `encode`."""
        ids = self._parsing.encode(
            rendered.text, add_special_tokens=rendered.add_special_tokens
        ).ids
        return self.checked(ids if rendered.last is None else ids[-rendered.last :])

    def checked(self, ids: list[int]) -> Sequence:
        """Check ids and return their sequence. Raises as `encode`, and for unknown ids."""
        if not ids:
            raise Unencodable("the chat template renders this conversation to no tokens")
        if len(ids) > self.max_tokens:
            raise TooLong(len(ids), self.max_tokens)
        if not 0 <= min(ids) <= max(ids) < self._vocabulary:
            raise Unencodable(f"token ids of this model are from 0 to {self._vocabulary - 1}")
        position = len(ids) - 1
        if self._pad_id is not None:
            kept = (index for index in range(position, -1, -1) if ids[index] != self._pad_id)
            position = next(kept, 0)
        return Sequence(tuple(ids), (position,))

    def count(self, conversation: Conversation, inputs: TemplateInputs = NO_INPUTS) -> int:
        """Count the tokens of a rendered conversation, which may be more than `max_tokens`."""
        text = render(self._tokenizer, conversation, inputs)
        return len(self._ids(conversation, inputs, text))

    def token_spans(self, content: str) -> list[tuple[int, int]]:
        """Return the first and the end character of each token of a text without a template."""
        spans: list[tuple[int, int]] = self._literal.encode(
            content, add_special_tokens=False
        ).offsets
        return spans

    def _ids(self, conversation: Conversation, inputs: TemplateInputs, text: str) -> list[int]:
        if self._only_template_specials(conversation, inputs, text):
            return list(self._parsing.encode(text, add_special_tokens=False).ids)
        return self._tokenize_escaped(conversation, inputs).ids

    def _start_of_answer(
        self, conversation: Conversation, inputs: TemplateInputs, text: str
    ) -> int:
        """The index in the rendered text at which the last message's content begins.

        Raises:
            Unencodable: the template changes the content more than by stripping it.
        """
        content = conversation[-1].content
        # A character that occurs nowhere else shows where the template puts the content.
        mark = next(iter(unused_characters(texts(conversation, inputs))), "")
        marked = (*conversation[:-1], conversation[-1]._replace(content=mark))
        start = render(self._tokenizer, marked, inputs).find(mark)
        stripped = content.strip()
        if mark and text.startswith(content, start):
            return start
        if mark and text.startswith(stripped, start):
            return start - content.index(stripped)
        raise Unencodable("the chat template changes the text, so its steps cannot be found in it")

    def _only_template_specials(
        self, conversation: Conversation, inputs: TemplateInputs, text: str
    ) -> bool:
        """Tell whether the template alone wrote the special tokens in the rendered `text`."""
        if inputs != NO_INPUTS or any(message.extra for message in conversation):
            # The template may write special tokens for a call or a tool, so roles tell too little.
            return False
        if any(self._special.search(message.content) for message in conversation):
            return False
        # Searching each content is not enough: a template may join two contents that spell a
        # special token only together. So the text must have the special tokens of a conversation
        # of the same roles whose contents hold none.
        roles = tuple(message.role for message in conversation)
        cached = len(roles) <= _MAX_CACHED_TURNS
        specials = self._cached_specials_for_roles if cached else self._specials_for_roles
        return self._special.findall(text) == specials(roles)

    def _specials_for_roles(self, roles: tuple[str, ...]) -> list[str]:
        text = render(self._tokenizer, tuple(Message(role, "x") for role in roles))
        return self._special.findall(text)

    def _tokenize_escaped(
        self, conversation: Conversation, inputs: TemplateInputs
    ) -> _TokenizedText:
        """Tokens of a conversation whose contents spell special tokens: these become plain text.

        The contents are escaped and the template is applied. The special tokens in the result are
        the template's own; the text between them is unescaped and encoded literally.
        """
        escaper = SpecialTokenEscaper(texts(conversation, inputs), self._special_ids)

        contents = {message.content for message in conversation}

        def escape(text: str) -> str:
            # Templates compare names and kinds of tools with constants, so these stay as they are.
            changes = text in contents or self._special.search(text)
            return escaper.escape(text, self._special) if changes else text

        rendered = render(self._tokenizer, *mapped(escape, conversation, inputs))
        tokenized, start = _TokenizedText([], []), 0
        for text, special in split(self._special, rendered):
            literal = escaper.unescape(text)
            tokenized.add(self._literal.encode(literal, add_special_tokens=False), start)
            start += len(literal) + len(special)
            if special:
                tokenized.ids.append(self._special_ids[special])
                tokenized.ends.append(start)
        return tokenized


def _bare_copy(tokenizer: Tokenizer) -> Tokenizer:
    # A copy, because others may switch truncation or padding on in the original.
    copy: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy
