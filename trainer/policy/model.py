"""A policy with its loss as one module.

All parameters are used inside its `forward`, because FSDP has gathered them only there.
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from trainer.policy.batches import PolicyBatch
from trainer.policy.log_probs import answer_log_probs
from trainer.policy.losses import LOSSES, LogRatios, figures_of
from trainer.training.objective.batches import Totals
from trainer.training.objective.losses import JointLoss


class PolicyModel(nn.Module):
    """A causal language model that learns from pairs.

    Attributes:
        network: attends by `reward_model.attention.IMPLEMENTATION`.
        losses: the weight of each `loss_type`.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        losses: dict[str, float],
        *,
        beta: float,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.losses = losses
        self.beta = beta
        self.label_smoothing = label_smoothing

    def forward(self, batch: PolicyBatch, totals: Totals | None = None) -> JointLoss:
        """Losses of one packed batch, divided by `totals`, or by the batch's own without them."""
        totals = totals or batch.totals
        log_probs_N = answer_log_probs(self.network, batch.answers)
        plain, weighted, lengths = sums_of(log_probs_N, batch)
        chosen, rejected = batch.chosen, batch.rejected
        references = plain.new_tensor(batch.references)
        ratios = LogRatios(
            weighted[chosen] - references[:, 0],
            weighted[rejected] - references[:, 1],
            lengths[chosen],
            lengths[rejected],
        )
        terms = {}
        for name in self.losses:
            if name == "sft":
                # As in TRL: the mean over the tokens of the chosen answers of all pairs.
                terms[name] = -(plain * plain.new_tensor(batch.pairs_of)).sum() / totals.lm
            else:
                values = LOSSES[name](ratios, self.beta, self.label_smoothing)
                terms[name] = values.sum() / totals.pairs
        total = torch.stack([terms[name] * weight for name, weight in self.losses.items()]).sum()
        figures = figures_of(ratios, self.beta)
        figures |= {"logps/chosen": plain[chosen], "logps/rejected": plain[rejected]}
        figures = {name: values.detach() for name, values in figures.items()}
        return JointLoss(total, terms, figures["rewards/margins"], figures)


def sums_of(log_probs_N: Tensor, batch: PolicyBatch) -> tuple[Tensor, Tensor, Tensor]:
    """For each answer: its log-prob, the same with token weights, and its number of tokens."""
    device, tokens = log_probs_N.device, batch.answers.tokens
    answer_of = [index for index, entries in enumerate(tokens) for _ in entries]
    answer_of_M = torch.tensor(answer_of, device=device)
    entries_M = torch.tensor([entry for entries in tokens for entry in entries], device=device)
    values_M = log_probs_N[entries_M]
    zeros = log_probs_N.new_zeros(len(tokens))
    plain = zeros.index_add(0, answer_of_M, values_M)
    weighted = plain
    if any(batch.weights):
        weights = [
            weight
            for given, entries in zip(batch.weights, tokens, strict=True)
            for weight in given or (1.0,) * len(entries)
        ]
        weighted = zeros.index_add(0, answer_of_M, values_M * values_M.new_tensor(weights))
    lengths = torch.tensor([float(len(entries)) for entries in tokens], device=device)
    return plain, weighted, lengths
