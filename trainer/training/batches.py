"""Pairs -> a packed batch with what the losses need to find in it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from reward_model.encoding import Encoder, TooLong
from reward_model.packing import Packed, Sequence, pack, shared_prefix
from trainer.pairs.row import Pairs, Request, conversation
from trainer.stage import StageError


@dataclass(frozen=True)
class Batch:
    """A packed batch. Scores are in the order of `score_at`, flat indices of read tokens.

    Pair i compares scores `chosen[i]` and `rejected[i]`. The hidden state at `lm_at[i]` predicts
    token `lm_targets[i]`; all of these belong to chosen answers. `tokens[i]` compares pair i token
    by token from where its texts part: flat indices in the chosen and in the rejected answer.
    """

    packed: Packed
    score_at: list[int]
    chosen: list[int]
    rejected: list[int]
    lm_at: list[int]
    lm_targets: list[int]
    tokens: list[tuple[list[int], list[int]]]


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
        return [reading, *(_read_from_parting(answer, rival) for rival in encoded if rival)]

    def _encode(self, kind: str, prompt: Request, answer: str) -> Sequence | None:
        try:
            return self.encoder.encode(conversation(prompt, answer))
        except TooLong:
            self.counts[f"{kind}: too long"] += 1
            return None

    def _prompt_length(self, prompt: Request, answer: Sequence) -> int:
        """Tokens before the answer: those it shares with an answer that says nothing."""
        empty = self.encoder.encode(conversation(prompt, ""))
        return shared_prefix(empty.ids, answer.ids)


def _read_from_parting(answer: Sequence, rival: Sequence) -> Sequence:
    """A rival read from the first token on that it does not share with the chosen answer."""
    parting = min(shared_prefix(answer.ids, rival.ids), len(rival.ids) - 1)
    return Sequence(rival.ids, tuple(range(parting, len(rival.ids))))


def _packed(sequences: list[Sequence], chosen: list[int], rejected: list[int]) -> Batch:
    """A sequence's last read is its score's; a chosen one's others predict the next tokens."""
    packed = pack(sequences)
    answers = sorted(set(range(len(sequences))) - set(rejected))
    return Batch(
        packed=packed,
        score_at=[reads[-1] for reads in packed.reads],
        chosen=chosen,
        rejected=rejected,
        lm_at=[index for i in answers for index in packed.reads[i][:-1]],
        lm_targets=[sequences[i].ids[p + 1] for i in answers for p in sequences[i].read_at[:-1]],
        tokens=[
            _aligned(sequences[c], sequences[r], packed.reads[c], packed.reads[r])
            for c, r in zip(chosen, rejected, strict=True)
        ],
    )


def _aligned(
    chosen: Sequence, rejected: Sequence, chosen_at: list[int], rejected_at: list[int]
) -> tuple[list[int], list[int]]:
    """Flat indices of both answers' tokens from their parting on, as many as the shorter has."""
    skipped = rejected.read_at[0] - chosen.read_at[0]
    rest = chosen_at[skipped:]
    count = min(len(rest), len(rejected_at))
    return rest[:count], rejected_at[:count]
