"""PreferenceRow -> a packed batch with what the losses need to find in it."""

from collections.abc import Iterable
from dataclasses import dataclass

from reward_model.packing import Packed, Sequence, pack, shared_prefix
from reward_model.text.encoding import Encoder
from trainer.pairs.row import PreferenceRow, Request, conversation


@dataclass(frozen=True)
class Totals:
    """What sums over an optimizer step are divided by, all its micro-batches and processes counted.

    Attributes:
        pairs: weights of all pairs.
        lm: weights of all tokens that the language-model loss predicts.
    """

    pairs: float
    lm: float


@dataclass(frozen=True)
class Batch:
    """A packed batch. Scores are in the order of `score_at`, flat indices of read tokens.

    Pair i compares scores `chosen[i]` and `rejected[i]`, weighs `weights[i]`, and is known to be
    `margins[i]` apart. The hidden state at `lm_at[i]` predicts token `lm_targets[i]`, which weighs
    `lm_weights[i]`; all of these belong to chosen answers. `tokens[i]` compares pair i token by
    token from where its texts part: flat indices in the chosen and in the rejected answer.
    """

    packed: Packed
    score_at: list[int]
    chosen: list[int]
    rejected: list[int]
    weights: list[float]
    margins: list[float]
    lm_at: list[int]
    lm_targets: list[int]
    lm_weights: list[float]
    tokens: list[tuple[list[int], list[int]]]

    @property
    def totals(self) -> Totals:
        return Totals(sum(self.weights), sum(self.lm_weights))


@dataclass(frozen=True)
class Collator:
    """Encodes and packs rows that fit, as `trainer.training.fitting` leaves them.

    Attributes:
        with_rejected: whether rejected answers come along; a language-model warm-up has none.
        lm_on_prompt: whether the language-model loss covers prompts too, as a warm-up's does.
    """

    encoder: Encoder
    with_rejected: bool = True
    lm_on_prompt: bool = False

    def __call__(self, rows: list[PreferenceRow]) -> dict[str, Batch]:
        return {"batch": self.batch(rows)}

    def batch(self, rows: Iterable[PreferenceRow]) -> Batch:
        return _packed([_Family(row, self._sequences(row)) for row in rows])

    def _sequences(self, row: PreferenceRow) -> list[Sequence]:
        """The chosen answer first, reading every token that predicts."""
        answer = self.encoder.encode(conversation(row.prompt, row.chosen))
        rivals = row.rejected if self.with_rejected else ()
        encoded = [self.encoder.encode(conversation(row.prompt, rival.text)) for rival in rivals]
        start = 0 if self.lm_on_prompt else self._prompt_length(row.prompt, answer) - 1
        reading = Sequence(answer.ids, tuple(range(start, len(answer.ids))))
        return [reading, *(_read_from_parting(answer, rival) for rival in encoded)]

    def _prompt_length(self, prompt: Request, answer: Sequence) -> int:
        """Tokens before the answer: those it shares with an answer that says nothing."""
        empty = self.encoder.encode(conversation(prompt, ""))
        return shared_prefix(empty.ids, answer.ids)


@dataclass(frozen=True)
class _Family:
    """A row and its sequences, the chosen answer's first."""

    row: PreferenceRow
    sequences: list[Sequence]


def _read_from_parting(answer: Sequence, rival: Sequence) -> Sequence:
    """A rival read from the first token on that it does not share with the chosen answer."""
    parting = min(shared_prefix(answer.ids, rival.ids), len(rival.ids) - 1)
    return Sequence(rival.ids, tuple(range(parting, len(rival.ids))))


def _packed(families: list[_Family]) -> Batch:
    """A sequence's last read is its score's; a chosen one's others predict the next tokens."""
    packed = pack([sequence for family in families for sequence in family.sequences])
    batch = Batch(packed, [reads[-1] for reads in packed.reads], [], [], [], [], [], [], [], [])
    first = 0
    for family in families:
        _add_answer(batch, family, packed.reads[first])
        _add_pairs(batch, family, first)
        first += len(family.sequences)
    return batch


def _add_answer(batch: Batch, family: _Family, reads: list[int]) -> None:
    chosen = family.sequences[0]
    batch.lm_at.extend(reads[:-1])
    batch.lm_targets.extend(chosen.ids[position + 1] for position in chosen.read_at[:-1])
    batch.lm_weights.extend([family.row.weight] * (len(reads) - 1))


def _add_pairs(batch: Batch, family: _Family, first: int) -> None:
    chosen, *rivals = family.sequences
    reads = batch.packed.reads
    for place, rival in enumerate(rivals):
        batch.chosen.append(first)
        batch.rejected.append(first + 1 + place)
        batch.weights.append(family.row.weight)
        batch.margins.append(family.row.rejected[place].margin)
        batch.tokens.append(_aligned(chosen, rival, reads[first], reads[first + 1 + place]))


def _aligned(
    chosen: Sequence, rejected: Sequence, chosen_at: list[int], rejected_at: list[int]
) -> tuple[list[int], list[int]]:
    """Flat indices of both answers' tokens from their parting on, as many as the shorter has."""
    skipped = rejected.read_at[0] - chosen.read_at[0]
    rest = chosen_at[skipped:]
    count = min(len(rest), len(rejected_at))
    return rest[:count], rejected_at[:count]
