"""A preference row as token ids: encoded once, and read by doctor, length filter and collator."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from reward_model.packing import shared_prefix
from reward_model.text.chat import Conversation, TemplateInputs, Unencodable
from reward_model.text.encoding import Encoder, TooLong
from trainer.pairs.row import PreferenceRow, conversation
from trainer.pipeline.progress import ProgressBar


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A whole conversation as token ids.

    Attributes:
        tokens: its length, also when it does not fit.
        ids: empty when the conversation is longer than the model takes: it is never trained on.
    """

    tokens: int
    ids: "array[int]"  # 4 bytes a token, about the memory of the text itself

    @property
    def fits(self) -> bool:
        return bool(self.ids)


@dataclass(frozen=True, slots=True)
class EncodedRejected:
    """A rejected answer after its prompt; `kind` and `margin` are those of `Rejected`."""

    kind: str
    margin: float
    text: EncodedText


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """The pairs of one request; `id`, `source` and `weight` are those of `PreferenceRow`.

    Attributes:
        prompt_tokens: tokens before the chosen answer; 0 when the chosen answer does not fit.
        refused: why the chat template refuses the row, which then has no ids; empty otherwise.
    """

    id: str
    source: str
    weight: float
    prompt_tokens: int
    chosen: EncodedText
    rejected: tuple[EncodedRejected, ...]
    refused: str = ""


def encode_rows(
    rows: Iterable[PreferenceRow], encoder: Encoder, desc: str | None = None
) -> list[EncodedRow]:
    """Encode every row, in order, also those that are too long or that the template refuses."""
    encoded = []
    for row in ProgressBar(rows, desc=desc, unit=" rows", disable=not desc):
        try:
            chosen, prompt_tokens = _encode_chosen(row, encoder)
            rejected = tuple(
                EncodedRejected(
                    rival.kind,
                    rival.margin,
                    _encode(conversation(row.prompt, rival.text, rival.turns), row.inputs, encoder),
                )
                for rival in row.rejected
            )
            refused = ""
        except Unencodable as error:
            chosen, prompt_tokens, rejected = EncodedText(0, array("i")), 0, ()
            refused = str(error)
        encoded.append(
            EncodedRow(row.id, row.source, row.weight, prompt_tokens, chosen, rejected, refused)
        )
    return encoded


def _encode(talk: Conversation, inputs: TemplateInputs, encoder: Encoder) -> EncodedText:
    try:
        ids = encoder.encode(talk, inputs=inputs).ids
    except TooLong as error:
        return EncodedText(error.tokens, array("i"))
    return EncodedText(len(ids), array("i", ids))


def _encode_chosen(row: PreferenceRow, encoder: Encoder) -> tuple[EncodedText, int]:
    """The chosen answer and the number of tokens before it, from one encoding if possible."""
    talk = conversation(row.prompt, row.chosen, row.chosen_turns)
    # Calls and reasoning may be rendered before the text of the last message, or instead of it.
    first = "" if row.chosen_turns else row.chosen[:1]
    # The encoder can report the token that ends at a character of the answer. For the first
    # character that is the first token of the answer, unless the character takes several tokens
    # (it is not ASCII) or the template may strip it (it is white space).
    if first.strip() and first.isascii():
        try:
            sequence = encoder.encode(talk, (1,), row.inputs)
            return EncodedText(len(sequence.ids), array("i", sequence.ids)), sequence.read_at[0]
        except TooLong as error:
            return EncodedText(error.tokens, array("i")), 0
        except Unencodable:
            pass  # the template rewrites answers (some drop the reasoning), or refuses the row
    chosen = _encode(talk, row.inputs, encoder)
    empty: tuple[int, ...] = ()
    if chosen.fits:
        empty = encoder.encode(conversation(row.prompt, ""), inputs=row.inputs).ids
    return chosen, shared_prefix(empty, tuple(chosen.ids))
