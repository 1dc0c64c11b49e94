"""Encodes conversations: their token ids, and the positions at which scores are read.

Text never becomes control tokens: special tokens count where the template wrote them, never where
a user did. Text without any is encoded by the tokenizer in one go, exactly as the template's own.
"""

import weakref
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from tokenizers import Encoding

from reward_model.packing import Sequence
from reward_model.text.chat import (
    NO_INPUTS,
    ROLES,
    ChatTokenizer,
    Conversation,
    Message,
    TemplateInputs,
    mapped,
    render,
    template_of,
    texts,
)
from reward_model.text.special_tokens import (
    LiteralTokenizer,
    SpecialTokenEscaper,
    any_of,
    unknown_token,
    unused_characters,
)
from reward_model.text.template import Unencodable, constants, date_seen
from reward_model.text.tokenizing import PIECE, bare_copy, pieces, tokenize

# Longer conversations do not enter the cache of template specials: an entry grows with them.
_MAX_CACHED_TURNS = 64

Spans = list[tuple[int, int]]


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


@dataclass(frozen=True, slots=True)
class TokenSpans:
    """First and end character of each token of a text, in little memory."""

    starts: "array[int]"
    ends: "array[int]"


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
        template_date: what the template sees as today; None leaves it to the template's own
            fallback. Either is the same for ever, because scores would change from day to day.
    """

    def __init__(
        self,
        tokenizer: ChatTokenizer,
        *,
        max_tokens: int,
        pad_id: int | None,
        embeddings: int | None = None,
        template_date: date | None = None,
    ) -> None:
        self.max_tokens = max_tokens
        # A longer text is likely to have too many tokens, so it is counted in pieces first.
        self.long_text = max(PIECE, 8 * max_tokens)
        self._tokenizer = tokenizer
        self._pad_id = pad_id
        self._template_date = template_date
        backend = tokenizer.backend_tokenizer
        self._parsing = bare_copy(backend)
        self._literal = LiteralTokenizer(backend)
        added = backend.get_added_tokens_decoder()
        special = {id_: token for id_, token in added.items() if token.special}
        self._special_ids = {token.content: id_ for id_, token in special.items()}
        self._special = any_of(
            self._special_ids, [token.content for token in special.values() if token.single_word]
        )
        # A model without a token for some letters has a special one for all of them.
        unknown = {tokenizer.special_tokens_map.get("unk_token"), unknown_token(backend)}
        self._control_ids = {id_ for name, id_ in self._special_ids.items() if name not in unknown}
        vocabulary = 1 + max(backend.get_vocab().values())
        self._ids = min(vocabulary, vocabulary if embeddings is None else embeddings)
        # Through a weak reference: an encoder that refers to itself would stay in memory until the
        # garbage collector comes by.
        this = weakref.ref(self)

        @lru_cache(maxsize=1024)
        def controls_of(shape: tuple[tuple[str, str], ...]) -> tuple[list[str], list[int]]:
            encoder = this()
            assert encoder, "only the encoder calls it"
            return encoder._controls_of(shape)

        self._cached_controls_of = controls_of

    @property
    def template_date(self) -> date | None:
        """The date that the template sees as today; None if it never asks."""
        return date_seen(template_of(self._tokenizer), self._template_date)

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
            Unencodable: the template refuses the conversation, or renders nothing, or control
                tokens would come of the texts.
        """
        self._check_roles(conversation, inputs)
        text = self._render(conversation, inputs)
        ids, encoding = self._tokenize(conversation, inputs, text, offsets=bool(step_ends))
        sequence = self.checked(ids)
        if not step_ends:
            return sequence
        start = self._start_of_answer(conversation, inputs, text)
        ends = [end for _, end in encoding.offsets]
        # A character may take several tokens, which all end after it: the last of them is read.
        steps = (
            max(bisect_left(ends, start + end), bisect_right(ends, start + end) - 1)
            for end in step_ends
        )
        return Sequence(sequence.ids, (*steps, *sequence.read_at))

    def encode_rendered(self, rendered: Rendered) -> Sequence:
        """Encode a text as it is, without a template. Raises as `encode`."""
        ids = list(
            tokenize(
                self._parsing, rendered.text, add_special_tokens=rendered.add_special_tokens
            ).ids
        )
        return self.checked(ids if rendered.last is None else ids[-rendered.last :])

    def checked(self, ids: list[int]) -> Sequence:
        """Check ids and return their sequence. Raises as `encode`, and for unknown ids."""
        if not ids:
            raise Unencodable("the chat template renders this conversation to no tokens")
        if len(ids) > self.max_tokens:
            raise TooLong(len(ids), self.max_tokens)
        if not 0 <= min(ids) <= max(ids) < self._ids:
            raise Unencodable(f"token ids of this model are from 0 to {self._ids - 1}")
        position = len(ids) - 1
        if self._pad_id is not None:
            kept = (index for index in range(position, -1, -1) if ids[index] != self._pad_id)
            position = next(kept, 0)
        return Sequence(tuple(ids), (position,))

    def literal_ids(self, content: str) -> list[int]:
        """Ids of a text without a template, in which special tokens are letters.

        Raises:
            Unencodable: the text holds what stands for a special token here.
        """
        return self._literal.encode(content)[0]

    def token_spans(self, content: str, stop: Callable[[], bool] = lambda: False) -> TokenSpans:
        """Return where each token of a text without a template begins and ends."""
        starts, ends = array("q"), array("q")
        for at, piece in pieces(content, stop):
            _, encoding = self._literal.encode(piece, offsets=True)
            for start, end in encoding.offsets:
                starts.append(at + start)
                ends.append(at + end)
        return TokenSpans(starts, ends)

    def _render(self, conversation: Conversation, inputs: TemplateInputs) -> str:
        return render(self._tokenizer, conversation, inputs, self._template_date)

    def _tokenize(
        self,
        conversation: Conversation,
        inputs: TemplateInputs,
        text: str,
        *,
        offsets: bool = False,
    ) -> tuple[list[int], Encoding]:
        """Ids of the rendered `text`, in which only the template's special tokens are tokens."""
        if len(text) > self.long_text:
            self._require_length(text)
        plain = inputs == NO_INPUTS and not any(message.extra for message in conversation)
        if plain and not any(self._special.search(message.content) for message in conversation):
            # The usual case. A template may still make a special token of what two contents spell
            # together, or of letters that it leaves out, so those that it writes are compared.
            spelled, controls = self._usual_controls(conversation)
            if self._special.findall(text) == spelled:
                encoding = tokenize(self._parsing, text, offsets=offsets)
                ids = list(encoding.ids)
                if self._controls(ids) == controls:
                    return ids, encoding
        shown = self._shown(conversation, inputs, text)
        own = self._spelled(shown) if shown else self._expected(conversation, inputs, text)
        ids, encoding = self._literal.encode(text, own, offsets=offsets)
        if shown and not self._are_controls(ids, text, own):
            # Some tokenizers do not take a special token everywhere. Theirs is the last word.
            own = self._taken(shown)
            ids, encoding = self._literal.encode(text, own, offsets=offsets)
        if self._are_controls(ids, text, own):
            return ids, encoding
        raise Unencodable("the tokenizer makes control tokens of this text: change it")

    def _check_roles(self, conversation: Conversation, inputs: TemplateInputs) -> None:
        """Refuse a role of which the template makes a control token, such as `<|` + role + `|>`.

        Roles stay as they are when texts are escaped, because templates choose by them.

        Raises:
            Unencodable: there is such a role, and it is none that the template knows.
        """
        if all(message.role in ROLES for message in conversation):
            return
        # Among what a template compares with and writes, special tokens are no roles.
        written = constants(template_of(self._tokenizer, inputs))
        known = ROLES | {word for word in written if word.replace("-", "_").isidentifier()}
        roles = {message.role for message in conversation}
        escaper = SpecialTokenEscaper([*texts(conversation, inputs), *roles], self._special_ids)
        sent = tuple(Message(role, _harmless(content)) for role, content, _ in conversation)
        escaped = tuple(
            turn if turn.role in known else turn._replace(role=escaper.escape(turn.role))
            for turn in sent
        )
        spelled = [self._special.findall(self._render(turns, inputs)) for turns in (sent, escaped)]
        if spelled[0] != spelled[1]:
            raise Unencodable(
                "the chat template makes control tokens of the role of a turn: use a role that it "
                "knows, such as user or assistant"
            )

    def _require_length(self, text: str) -> None:
        """Refuse a long text that has too many tokens before all of it is held in memory.

        Raises:
            TooLong: it has clearly more tokens than the model takes.
        """
        tokens = sum(len(tokenize(self._parsing, piece).ids) for _, piece in pieces(text))
        # Counted in pieces it may have a few more than in one go.
        if tokens > self.max_tokens + self.max_tokens // 8:
            raise TooLong(tokens, self.max_tokens)

    def _controls(self, ids: list[int]) -> list[int]:
        return [id_ for id_ in ids if id_ in self._control_ids]

    def _are_controls(self, ids: list[int], text: str, own: Spans) -> bool:
        """Tell whether the control tokens among `ids` are those that are at `own` in the text."""
        return self._controls(ids) == [self._special_ids[text[begin:end]] for begin, end in own]

    def _shown(self, conversation: Conversation, inputs: TemplateInputs, text: str) -> str:
        """The rendered text with the users' letters escaped, which tells them from the template's.

        It is empty if the template does not treat texts so escaped as it treats the texts.
        """
        known = constants(template_of(self._tokenizer, inputs))
        escaper = SpecialTokenEscaper(texts(conversation, inputs), self._special_ids)

        def of_value(value: str) -> str:
            # Templates compare kinds and names with constants of theirs.
            return value if value in known else escaper.escape(value)

        def of_name(name: str) -> str:
            return escaper.escape(name) if self._special.search(name) else name

        escaped = mapped(conversation, inputs, escaper.escape, of_value, of_name)
        try:
            shown = self._render(*escaped)
        except Unencodable:
            return ""
        return shown if escaper.unescape(shown) == text else ""

    def _spelled(self, text: str) -> Spans:
        return [match.span() for match in self._special.finditer(text)]

    def _taken(self, text: str) -> Spans:
        """Where the tokenizer itself takes a special token in a text."""
        encoding = tokenize(self._parsing, text, offsets=True)
        taken = []
        for id_, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if id_ in self._control_ids and (match := self._special.search(text, start, end)):
                # Without the white space that it swallows.
                taken.append(match.span())
        return taken

    def _expected(self, conversation: Conversation, inputs: TemplateInputs, text: str) -> Spans:
        """The special tokens in `text` that the template writes for harmless contents, too.

        Raises:
            Unencodable: they are not there in this order, or others of the same kind are.
        """
        harmless = tuple(
            Message(role, _harmless(content), extra) for role, content, extra in conversation
        )
        expected = self._special.findall(self._render(harmless, inputs))
        kinds, found = set(expected), self._spelled(text)
        own = [span for span in found if text[slice(*span)] in kinds]
        # More of another kind than the users spell are the template's, for these contents alone.
        spelled = (text[slice(*span)] for span in found)
        others = Counter(token for token in spelled if token not in kinds)
        of_users = Counter(
            token for told in texts(conversation, inputs) for token in self._special.findall(told)
        )
        if [text[slice(*span)] for span in own] == expected and others <= of_users:
            return own
        raise Unencodable(
            "the chat template changes this text, and special tokens in it cannot be told from the "
            "template's own: leave them out (reasoning may be sent as reasoning_content)"
        )

    def _usual_controls(self, conversation: Conversation) -> tuple[list[str], list[int]]:
        shape = tuple((role, _harmless(content)) for role, content, _ in conversation)
        cached = len(shape) <= _MAX_CACHED_TURNS
        return self._cached_controls_of(shape) if cached else self._controls_of(shape)

    def _controls_of(self, shape: tuple[tuple[str, str], ...]) -> tuple[list[str], list[int]]:
        """Special tokens and ids that the template writes for harmless contents."""
        text = self._render(tuple(Message(role, content) for role, content in shape), NO_INPUTS)
        return self._special.findall(text), self._controls(list(tokenize(self._parsing, text).ids))

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
        shown = self._render(marked, inputs)
        start = shown.find(mark)
        stripped = content.strip()
        if mark and text.startswith(shown[:start] + content):
            return start
        if mark and text.startswith(shown[:start] + stripped):
            return start - content.index(stripped)
        raise Unencodable("the chat template changes the text, so its steps cannot be found in it")


def _harmless(content: str) -> str:
    # Templates ask whether a turn is empty, or only white space.
    return "x" if content.strip() else content[:1]
