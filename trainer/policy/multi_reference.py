"""One virtual reference made of two: multi-reference preference optimization (arXiv 2405.16388).

**Derivation.** With K references and weights a_k that sum to 1, the objective holds the policy near
all of them: E[r] - beta sum_k a_k KL(pi || pi_k). By Jensen's inequality the second term is at most

    E log pi + E log(sum_k a_k / pi_k),

so minimizing that bound is DPO with the weighted harmonic mean of the references as its only one:

    pi_ref = 1 / (a / pi_1 + (1 - a) / pi_2) = pi_1 pi_2 / (a pi_2 + (1 - a) pi_1)
    log pi_ref = l1 + l2 - log(a e^l2 + (1 - a) e^l1)

The weight of a reference multiplies the *other* one's probability in that logarithm: at a = 1 the
first reference alone is left. The authors' code has `a e^l1 + (1 - a) e^l2` there, which leaves the
second one alone at a = 1, and so gives each reference the other's weight. This module follows the
derivation.

Only sums over whole answers are compared, so the references may have different tokenizers.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, log
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainer.feedback.serving import find_policy, identify
from trainer.pairs.policy_row import PolicyRow
from trainer.policy.batches import References
from trainer.policy.encoded import EncodedAnswer, EncodedPolicyRow
from trainer.policy.reference import ReferenceFile, text_key, texts_of
from trainer.policy.start import load_policy

AnswerKey = tuple[str, str]
"""Id of a row, and of one of its answers."""


def virtual_log_prob(first: float, second: float, weight: float) -> float:
    """The log of the weighted harmonic mean of two probabilities, given by their logs.

    Args:
        weight: of the first reference, from 0 to 1.
    """
    own = log(weight) if weight > 0 else -inf
    other = log(1 - weight) if weight < 1 else -inf
    # log(a / pi_1 + (1 - a) / pi_2) by logaddexp: e^-l1 of a long answer overflows.
    return -float(np.logaddexp(own - first, other - second))


def clipped(second: float, first: float, eta: float) -> float:
    """The second reference's log-prob, clipped into the first one's times 1 - eta ... 1 + eta.

    Two models can be hundreds of nats apart on a long answer. Unclipped, the lower one would be the
    harmonic mean alone.
    """
    low, high = sorted((first * (1 - eta), first * (1 + eta)))
    return min(max(second, low), high)


def first_weight(first: tuple[float, float], second: tuple[float, float]) -> float:
    """The weight of the first reference: its share of the two margins' absolute values.

    A margin is the log-prob of the chosen answer less that of the rejected one: a reference that
    tells the two apart more clearly counts more. Without any margin both count alike.
    """
    own, other = (abs(chosen - rejected) for chosen, rejected in (first, second))
    return own / (own + other) if own + other else 0.5


def virtual_reference(
    first: tuple[float, float], second: tuple[float, float], eta: float
) -> tuple[float, float]:
    """Log-probs of a pair's chosen and rejected answers under the virtual reference.

    Args:
        first, second: those under the two references, each summed over the answer's tokens.
        eta: largest relative distance of the second reference from the first.
    """
    # Margins are the references' own: clipping would make a strong one look unsure.
    weight = first_weight(first, second)
    chosen, rejected = (
        virtual_log_prob(one, clipped(two, one, eta), weight)
        for one, two in zip(first, second, strict=True)
    )
    return chosen, rejected


class SecondReference:
    """A second reference policy and the rows as it reads them, until its log-probs are computed.

    Args:
        name: its stage, directory or hub id.
        tokenizer: the first reference's. With the same vocabulary, rows keep their exact ids;
            otherwise the second reference encodes their texts with a template of its own.
    """

    def __init__(
        self,
        name: str,
        inputs: Path,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[PolicyRow],
    ) -> None:
        folder = find_policy(name, inputs)
        policy = load_policy(folder)
        exact = policy.tokenizer.get_vocab() == tokenizer.get_vocab()
        encoded = policy.encoder.encode(rows, "second reference", exact=exact)
        self._digest = identify(folder).digest
        self._network: PreTrainedModel | None = policy.network
        self._rows = {
            row.id: row
            for row in encoded
            if not row.refused
            and len(row.prompt_ids) + max(len(answer.ids) for answer in row.answers)
            <= policy.max_length
        }

    def readable(
        self, rows: list[EncodedPolicyRow], counts: Counter[str]
    ) -> list[EncodedPolicyRow]:
        """Those of the first reference's rows that the second one can read whole."""
        kept = [row for row in rows if row.id in self._rows]
        counts["row: too long for the second reference, or its template refuses it"] += len(
            rows
        ) - len(kept)
        return kept

    def sums(
        self, rows: Iterable[EncodedPolicyRow], output: Path, *, bf16: bool
    ) -> dict[AnswerKey, float]:
        """Its log-probs of all answers of these rows, each summed over its own tokens.

        Called once: the network is not kept beside the one that is trained.
        """
        network, self._network = self._network, None
        assert network is not None
        own = [self._rows[row.id] for row in rows]
        precision = "bfloat16" if bf16 else "float32"
        file = ReferenceFile(output.with_name("reference-log-probs"), self._digest, precision)
        log_probs = file.complete(texts_of(own), lambda: network, bf16=bf16)
        return {
            (row.id, answer.id): sum(log_probs[text_key(row.prompt_ids, answer.ids)])
            for row in own
            for answer in row.answers
        }


@dataclass(frozen=True)
class TwoReferences:
    """`References` of a virtual reference.

    Attributes:
        first: of the reference that the policy starts from.
        second: log-probs of whole answers under the second one, in its own tokens.
        eta: as in `virtual_reference`.
    """

    first: References
    second: Mapping[AnswerKey, float]
    eta: float

    def __call__(self, row: EncodedPolicyRow, rejected: EncodedAnswer) -> tuple[float, float]:
        """The sums of the row's chosen answer and of one of its rejected ones."""
        second = (self.second[row.id, row.chosen.id], self.second[row.id, rejected.id])
        return virtual_reference(self.first(row, rejected), second, self.eta)
