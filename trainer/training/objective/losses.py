"""The terms of the loss, each one function, and the table that lists them.

The paper's loss (arXiv 2410.02229) is `L = L_RM + L_LM`: `rank` and `lm`. The other terms are off
by default. To add a term, write its function here, add it to `TERMS`, and give it a weight in
`LossWeights`; the total and the log iterate over `TERMS`.

Every term is a sum over the batch divided by a total of the whole optimizer step, so that the
micro-batches and processes of a step add up to what one large batch gives.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import LinearCrossEntropyOptions
from torch.nn.functional import linear_cross_entropy, logsigmoid

from reward_model.network import head_scores
from trainer.training.objective.batches import Batch, Totals


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms. The paper's are the defaults; finetuning has `lm` 0.

    Attributes:
        rank: weight of the ranking loss at the last token; a warm-up has 0.
        lm: weight of the language-model loss on chosen answers.
        tokens: weight of the ranking loss at every token after a pair's texts part.
        centering: weight of the mean of (r_chosen + r_rejected)^2.
        margin: factor of a pair's own margin, by which its scores must differ in `rank`.
    """

    rank: float = 1.0
    lm: float = 1.0
    tokens: float = 0.0
    centering: float = 0.0
    margin: float = 0.0


@dataclass(frozen=True)
class Forward:
    """A batch after the network's forward pass: all that a term is computed from.

    Attributes:
        totals: divisors of the whole optimizer step.
        hidden_TD: last hidden state of every token.
        scores: one for each text of the batch.
        differences: chosen less rejected score, one for each pair.
        head: gives the scores at other tokens.
        output_VD: output embedding of the language model.
    """

    batch: Batch
    totals: Totals
    weights: LossWeights
    hidden_TD: Tensor
    scores: Tensor
    differences: Tensor
    head: nn.Linear
    output_VD: Tensor

    @property
    def pair_weights(self) -> Tensor:
        return self.differences.new_tensor(self.batch.weights)

    @property
    def pairs_total(self) -> float:
        return max(self.totals.pairs, 1e-9)  # a step without pairs has a sum of 0


_CHUNKS = LinearCrossEntropyOptions()

# By itself the kernel takes few tokens at a time where the vocabulary is large, and a CPU reads all
# of the output embedding for each of these chunks: twelve times as long at 49,152 tokens.
_CPU_CHUNKS = LinearCrossEntropyOptions(chunking_method=None, batch_chunk_size=256)


def rank_loss(forward: Forward) -> Tensor:
    """Ranking loss: -log sigmoid(r_chosen - r_rejected - margin), weighted by pair.

    The margin is that of Llama 2 (arXiv 2307.09288, equation 2).
    """
    margins = forward.differences.new_tensor(forward.batch.margins)
    gaps = forward.differences - forward.weights.margin * margins
    return -(logsigmoid(gaps) * forward.pair_weights).sum() / forward.pairs_total


def lm_loss(forward: Forward) -> Tensor:
    """Language-model loss: cross-entropy of the chosen answers' tokens, weighted by row."""
    batch, hidden_TD = forward.batch, forward.hidden_TD
    total = hidden_TD.sum() * 0
    # The chunked kernel never holds the logits of all tokens. It knows no weights, so there is one
    # call for each weight that occurs, which is usually one.
    for weight in sorted(set(batch.lm_weights)):
        chosen = [index for index, w in enumerate(batch.lm_weights) if w == weight]
        rows = torch.tensor([batch.lm_at[index] for index in chosen], device=hidden_TD.device)
        targets = torch.tensor([batch.lm_targets[index] for index in chosen], device=rows.device)
        total = total + weight * linear_cross_entropy(
            hidden_TD[rows],
            forward.output_VD,
            targets,
            reduction="sum",
            options=_CHUNKS if hidden_TD.is_cuda else _CPU_CHUNKS,
        )
    return total / max(forward.totals.lm, 1e-9)


def tokens_loss(forward: Forward) -> Tensor:
    """Ranking loss at every token from where a pair's texts part, averaged within the pair.

    Verifiers learn from every token as well (arXiv 2110.14168, section 4.2): a small model learns
    where a text goes wrong much sooner from this than from the last token alone.
    """
    batch, hidden_TD = forward.batch, forward.hidden_TD
    chosen = [index for pair, _ in batch.tokens for index in pair]
    rejected = [index for _, pair in batch.tokens for index in pair]
    gaps = head_scores(forward.head, hidden_TD[chosen])
    gaps = gaps - head_scores(forward.head, hidden_TD[rejected])
    # A pair's weight is shared equally among its tokens: long answers count as much as short ones.
    shares = [
        weight / len(pair)
        for (pair, _), weight in zip(batch.tokens, batch.weights, strict=True)
        for _ in pair
    ]
    return -(logsigmoid(gaps) * gaps.new_tensor(shares)).sum() / forward.pairs_total


def centering_loss(forward: Forward) -> Tensor:
    """Mean of (r_chosen + r_rejected)^2, which pulls scores towards zero (arXiv 2312.09244)."""
    batch, scores = forward.batch, forward.scores
    sums = scores[batch.chosen] + scores[batch.rejected]
    return (sums.square() * forward.pair_weights).sum() / forward.pairs_total


class Term(NamedTuple):
    """A term of the loss.

    Attributes:
        at_every_token: the term costs a product for every token, so it is computed only in
            training, and only if it has a weight. The others are always computed and logged.
    """

    compute: Callable[[Forward], Tensor]
    at_every_token: bool = False


# Each term by the name of its weight.
TERMS = {
    "rank": Term(rank_loss),
    "lm": Term(lm_loss, at_every_token=True),
    "tokens": Term(tokens_loss, at_every_token=True),
    "centering": Term(centering_loss),
}


class JointLoss(NamedTuple):
    """The loss of a batch, and what the log says of it.

    A tuple, because FSDP looks for tensors in tuples and dicts and not in dataclasses.

    Attributes:
        total: the sum of all terms, each times its weight.
        terms: the value of each term, without its weight.
        differences: [pairs] by how much the chosen answer is scored above the rejected one.
        figures: other values [pairs] by name, of which the log has the means.
    """

    total: Tensor
    terms: dict[str, Tensor]
    differences: Tensor
    figures: dict[str, Tensor] = {}  # noqa: RUF012 - never changed
