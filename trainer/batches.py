"""Pairs -> a packed batch with what the losses need to find in it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from reward_model.chat import Conversation, Message
from reward_model.encoding import Encoder, TooLong
from reward_model.packing import Packed, Sequence, pack, shared_prefix
from trainer.pairs import Pairs
from trainer.stage import StageError


@dataclass(frozen=True)
class Batch:
    """A packed batch. Scores are in the order of `score_at`, flat indices of read tokens.

    Pair i compares scores `chosen[i]` and `rejected[i]`. The hidden state at `lm_at[i]` predicts
    token `lm_targets[i]`; all of these belong to chosen answers.
    """

    packed: Packed
    score_at: list[int]
    chosen: list[int]
    rejected: list[int]
    lm_at: list[int]
    lm_targets: list[int]


def conversation(prompt: str, answer: str) -> Conversation:
    """The one shape in which the trainer shows text to the model."""
    return (Message("user", prompt), Message("assistant", answer))


@dataclass
class Collator:
    """Encodes and packs rows. Too long texts are left out, and counted by kind in `counts`.

    Attributes:
        with_rejected: whether rejected answers come along; a language-model warm-up has none.
        lm_on_prompt: whether the language-model loss covers prompts too, as a warm-up's does.
    """

    encoder: Encoder
    with_rejected: bool = True
    lm_on_prompt: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    def __call__(self, rows: list[Pairs]) -> dict[str, Batch]:
        return {"batch": self.batch(rows)}

    def batch(self, rows: Iterable[Pairs]) -> Batch:
        sequences: list[Sequence] = []
        chosen: list[int] = []
        rejected: list[int] = []
        for row in rows:
            first = len(sequences)
            sequences += self._sequences(row)
            rivals = range(first + 1, len(sequences))
            chosen += [first] * len(rivals)
            rejected += rivals
        if not sequences:
            limit = self.encoder.max_tokens
            raise StageError(f"no row of a batch fits into {limit} tokens: filter the pairs")
        return _packed(sequences, chosen, rejected)

    def _sequences(self, row: Pairs) -> list[Sequence]:
        """The chosen answer first, reading every token that predicts; none when it is too long."""
        answer = self._encode("chosen", row.prompt, row.chosen)
        if answer is None:
            return []
        rivals = row.rejected if self.with_rejected else ()
        encoded = [self._encode(rival.kind, row.prompt, rival.text) for rival in rivals]
        start = 0 if self.lm_on_prompt else self._prompt_length(row.prompt, answer) - 1
        reading = Sequence(answer.ids, tuple(range(start, len(answer.ids))))
        return [reading, *(rival for rival in encoded if rival)]

    def _encode(self, kind: str, prompt: str, answer: str) -> Sequence | None:
        try:
            return self.encoder.encode(conversation(prompt, answer))
        except TooLong:
            self.counts[f"{kind}: too long"] += 1
            return None

    def _prompt_length(self, prompt: str, answer: Sequence) -> int:
        """Tokens before the answer: those it shares with an answer that says nothing."""
        empty = self.encoder.encode(conversation(prompt, ""))
        return shared_prefix(empty.ids, answer.ids)


def _packed(sequences: list[Sequence], chosen: list[int], rejected: list[int]) -> Batch:
    """A sequence's last read is its score's; the reads before predict the tokens that follow."""
    packed = pack(sequences)
    lm_at = [index for reads in packed.reads for index in reads[:-1]]
    lm_targets = [s.ids[position + 1] for s in sequences for position in s.read_at[:-1]]
    score_at = [reads[-1] for reads in packed.reads]
    return Batch(packed, score_at, chosen, rejected, lm_at, lm_targets)
