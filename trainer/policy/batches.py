"""Encoded policy rows -> a packed batch, in which a problem's prompt is computed once."""

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reward_model.packing import Packed, Sequence, pack
from trainer.policy.encoded import EncodedAnswer, EncodedPolicyRow
from trainer.training.objective.batches import Totals

References = Callable[[EncodedPolicyRow, EncodedAnswer], tuple[float, float]]
"""Reference log-probs of a row's chosen and one of its rejected answers, each summed."""


@dataclass(frozen=True)
class PackedAnswers:
    """Answers behind their prompts in one flat batch.

    Attributes:
        packed: all texts, every shared prefix once.
        read_at: [N] flat indices whose next token is predicted.
        targets: [N] that token; no two entries have the same index and token.
        tokens: for each answer, the entry of each of its tokens.
    """

    packed: Packed
    read_at: list[int]
    targets: list[int]
    tokens: list[list[int]]


def pack_answers(texts: list[tuple["array[int]", "array[int]"]]) -> PackedAnswers:
    """Pack answers, each given as its prompt's ids and its own; no prompt may be empty."""
    packed = pack(
        [
            # An answer's first token is predicted at the last one of its prompt.
            Sequence((*prompt, *ids), tuple(range(len(prompt) - 1, len(prompt) + len(ids) - 1)))
            for prompt, ids in texts
        ]
    )
    # Two answers that begin alike share these predictions, too.
    entries: dict[tuple[int, int], int] = {}
    tokens = [
        [entries.setdefault(place, len(entries)) for place in zip(reads, ids, strict=True)]
        for reads, (_, ids) in zip(packed.reads, texts, strict=True)
    ]
    return PackedAnswers(packed, [at for at, _ in entries], [to for _, to in entries], tokens)


@dataclass(frozen=True)
class PolicyBatch:
    """A packed batch of pairs. Lists that have an entry for each pair are in the same order.

    Attributes:
        chosen, rejected: a pair's two answers, as indices into `answers.tokens`.
        references: reference log-probs of a pair's two answers, each summed over its tokens.
        weights: for each answer, the weights of its tokens; empty where all are 1.
        pairs_of: for each answer, in how many pairs it is the chosen one.
    """

    answers: PackedAnswers
    chosen: list[int] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    references: list[tuple[float, float]] = field(default_factory=list)
    weights: list[tuple[float, ...]] = field(default_factory=list)
    pairs_of: list[int] = field(default_factory=list)

    @property
    def packed(self) -> Packed:
        return self.answers.packed

    @property
    def totals(self) -> Totals:
        """Pairs, and tokens of the chosen answers of all pairs."""
        lengths = map(len, self.answers.tokens)
        tokens = sum(pairs * length for pairs, length in zip(self.pairs_of, lengths, strict=True))
        return Totals(float(len(self.chosen)), float(tokens))


@dataclass(frozen=True)
class PolicyCollator:
    """Packs rows whose answers all fit.

    Attributes:
        references: reference log-probs of a pair.
        token_weights: weights of an answer's tokens by its id; empty where all are 1.
    """

    references: References
    token_weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __call__(self, rows: list[EncodedPolicyRow]) -> dict[str, PolicyBatch]:
        return {"batch": self.batch(rows)}

    def batch(self, rows: list[EncodedPolicyRow]) -> PolicyBatch:
        """Pack the answers of all rows, and note which of them are pairs."""
        texts = [(row.prompt_ids, answer.ids) for row in rows for answer in row.answers]
        batch = PolicyBatch(pack_answers(texts))
        index = 0
        for row in rows:
            chosen = index
            for answer in row.answers:
                batch.weights.append(self.token_weights.get(answer.id, ()))
                batch.pairs_of.append(0 if index > chosen else len(row.rejected))
                index += 1
            for number, answer in enumerate(row.rejected, start=1):
                batch.chosen.append(chosen)
                batch.rejected.append(chosen + number)
                batch.references.append(self.references(row, answer))
        return batch
