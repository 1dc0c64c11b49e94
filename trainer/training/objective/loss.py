"""The terms of preference-model training; the paper's (arXiv 2410.02229) are `L = L_RM + L_LM`.

Beside the paper's two stand others, off unless asked for: the ranking loss at every token after a
pair's texts part, as verifiers learn from every token (arXiv 2110.14168, section 4.2; a small model
learns where a text goes wrong much sooner from it than from the last token alone), a margin that
better-known pairs must clear (Llama 2, arXiv 2307.09288, equation 2), and a pull of scores towards
zero (arXiv 2312.09244).

Every term is a sum divided by what the whole optimizer step holds, so that micro-batches and
processes add up to what one large batch gives.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import LinearCrossEntropyOptions
from torch.nn.functional import linear_cross_entropy, logsigmoid

from trainer.training.objective.batches import Batch


@dataclass(frozen=True)
class LossWeights:
    """The paper's are one, one and none; a warm-up has `rank` 0, finetuning has `lm` 0.

    Attributes:
        rank: of the ranking loss at the last token.
        lm: of the language-model loss on chosen answers.
        tokens: of the ranking loss at every token after a pair parts.
        centring: of the mean of (r_chosen + r_rejected)^2.
        margin: times a pair's own margin is what its scores must differ by.
    """

    rank: float = 1.0
    lm: float = 1.0
    tokens: float = 0.0
    centring: float = 0.0
    margin: float = 0.0


class JointLoss(NamedTuple):
    """Scalars, one a term; `differences` [pairs] are chosen less rejected score.

    A tuple, because FSDP looks for tensors in tuples and not in dataclasses.
    """

    rank: Tensor
    lm: Tensor
    tokens: Tensor
    centring: Tensor
    differences: Tensor

    def total(self, weights: LossWeights) -> Tensor:
        return (
            weights.rank * self.rank
            + weights.lm * self.lm
            + weights.tokens * self.tokens
            + weights.centring * self.centring
        )


def ranking_sum(differences: Tensor, batch: Batch, margin: float) -> Tensor:
    """Weighted sum of -log sigmoid(r_chosen - r_rejected - margin); zero when there are none."""
    gaps = differences - margin * like(batch.margins, differences)
    return -(logsigmoid(gaps) * like(batch.weights, differences)).sum()


def centring_sum(scores: Tensor, batch: Batch) -> Tensor:
    """Weighted sum of (r_chosen + r_rejected)^2."""
    sums = scores[batch.chosen] + scores[batch.rejected]
    return (sums.square() * like(batch.weights, scores)).sum()


def token_shares(batch: Batch) -> list[float]:
    """What each aligned token weighs: a pair's weight, in equal parts among its tokens."""
    return [
        weight / len(chosen)
        for (chosen, _), weight in zip(batch.tokens, batch.weights, strict=True)
        for _ in chosen
    ]


def lm_sum(hidden_TD: Tensor, output_VD: Tensor, batch: Batch) -> Tensor:
    """Weighted sum of the cross-entropies of the chosen answers' tokens, in chunks.

    The chunked kernel knows no weights, so there is one call for each that occurs; usually one.
    """
    total = hidden_TD.sum() * 0
    for weight in sorted(set(batch.lm_weights)):
        places = [place for place, w in enumerate(batch.lm_weights) if w == weight]
        rows = torch.tensor([batch.lm_at[place] for place in places], device=hidden_TD.device)
        targets = torch.tensor([batch.lm_targets[place] for place in places], device=rows.device)
        options = LinearCrossEntropyOptions()
        total = total + weight * linear_cross_entropy(
            hidden_TD[rows], output_VD, targets, reduction="sum", options=options
        )
    return total


def like(values: list[float], tensor: Tensor) -> Tensor:
    return torch.tensor(values, device=tensor.device, dtype=tensor.dtype)
