"""The joint loss of preference-model pretraining (arXiv 2410.02229): `L = L_RM + L_LM`.

Beside the paper's two terms stands a third, off unless asked for: the ranking loss at every token
after a pair's texts part, as verifiers learn from every token (arXiv 2110.14168, section 4.2). A
small model learns where a text goes wrong much sooner from it than from the last token alone.

All terms come from one forward pass over one packed batch, in which every prompt and whatever
else candidates share is computed once.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import LinearCrossEntropyOptions
from torch.nn.functional import linear_cross_entropy, logsigmoid
from transformers import PreTrainedModel

from reward_model.attention import grow
from reward_model.network import packed_hidden, scores_at
from trainer.training.batches import Batch


@dataclass(frozen=True)
class LossWeights:
    """The paper's are one, one and none; a warm-up has `rank` 0, finetuning has `lm` 0."""

    rank: float = 1.0
    lm: float = 1.0
    tokens: float = 0.0


@dataclass(frozen=True)
class JointLoss:
    """Scalars `rank`, `lm` and `tokens`, and `margins` [pairs], chosen less rejected score."""

    rank: Tensor
    lm: Tensor
    tokens: Tensor
    margins: Tensor

    def total(self, weights: LossWeights) -> Tensor:
        return weights.rank * self.rank + weights.lm * self.lm + weights.tokens * self.tokens

    @property
    def accuracy(self) -> Tensor:
        """Share of pairs ranked right, ties half."""
        return ((self.margins > 0).float() + 0.5 * (self.margins == 0).float()).mean()


def joint_loss(model: PreTrainedModel, batch: Batch) -> JointLoss:
    """All terms of a batch; the model must attend by `reward_model.attention.IMPLEMENTATION`."""
    hidden_TD = packed_hidden(model, grow(batch.packed, model.device))
    scores = scores_at(model, hidden_TD, batch.score_at)
    margins = scores[batch.chosen] - scores[batch.rejected]
    return JointLoss(
        rank=ranking_loss(margins),
        lm=lm_loss(model, hidden_TD, batch),
        tokens=token_ranking_loss(model, hidden_TD, batch),
        margins=margins,
    )


def ranking_loss(margins: Tensor) -> Tensor:
    """`L_RM`: mean of -log sigmoid(r_chosen - r_rejected); zero when there are no pairs."""
    return -logsigmoid(margins).mean() if len(margins) else margins.sum()


def token_ranking_loss(model: PreTrainedModel, hidden_TD: Tensor, batch: Batch) -> Tensor:
    """Mean over pairs of the mean ranking loss of their aligned tokens; zero without pairs."""
    if not batch.tokens:
        return hidden_TD.sum() * 0
    chosen = [index for pair, _ in batch.tokens for index in pair]
    rejected = [index for _, pair in batch.tokens for index in pair]
    shares = [1 / (len(pair) * len(batch.tokens)) for pair, _ in batch.tokens for _ in pair]
    margins = scores_at(model, hidden_TD, chosen) - scores_at(model, hidden_TD, rejected)
    return -(logsigmoid(margins) * torch.tensor(shares, device=margins.device)).sum()


def lm_loss(model: PreTrainedModel, hidden_TD: Tensor, batch: Batch) -> Tensor:
    """`L_LM`: mean cross-entropy of the chosen answers' tokens, through the tied embedding."""
    rows = torch.tensor(batch.lm_at, device=hidden_TD.device)
    targets = torch.tensor(batch.lm_targets, device=hidden_TD.device)
    embedding = model.get_input_embeddings().weight
    assert isinstance(embedding, Tensor)
    chunked = LinearCrossEntropyOptions()
    return linear_cross_entropy(hidden_TD[rows], embedding, targets, options=chunked)
