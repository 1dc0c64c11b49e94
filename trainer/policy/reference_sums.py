"""Reference log-probs of a pair, as the loss needs them: one sum for each answer.

Log-probs of several references meet here, before any loss sees them.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from trainer.policy.encoded import EncodedAnswer, EncodedPolicyRow
from trainer.policy.reference import text_key


@dataclass(frozen=True)
class ReferenceSums:
    """Sums over the tokens of each answer of a pair.

    Attributes:
        log_probs: of each token under the reference, by `text_key`.
        token_weights: weights of an answer's tokens by its id; empty where all are 1.
    """

    log_probs: Mapping[str, "array[float]"]
    token_weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __call__(self, row: EncodedPolicyRow, rejected: EncodedAnswer) -> tuple[float, float]:
        """The sums of the row's chosen answer and of one of its rejected ones."""
        return self._sum(row, row.chosen), self._sum(row, rejected)

    def _sum(self, row: EncodedPolicyRow, answer: EncodedAnswer) -> float:
        values = self.log_probs[text_key(row.prompt_ids, answer.ids)]
        weights = self.token_weights.get(answer.id)
        if weights is None:
            return sum(values)
        return sum(value * weight for value, weight in zip(values, weights, strict=True))
