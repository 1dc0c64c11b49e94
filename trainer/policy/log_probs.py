"""Log-probs of answers' tokens under a causal language model, through the packed forward.

The output head is the widest matrix of a model, and the logits of all positions would be larger
than everything else in memory. So logits exist for a few positions at a time, and only for those
that predict a token of an answer.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from reward_model.network import packed_hidden
from trainer.policy.batches import PackedAnswers
from trainer.training.objective.batches import training_tree

# Logits that exist at a time: 64 MB in float32 on a CPU, where a larger block leaves the cache.
_MAX_LOGITS = {"cpu": 2**24, "cuda": 2**28}


def answer_log_probs(network: PreTrainedModel, answers: PackedAnswers) -> Tensor:
    """Log-probs [N] in float32 of `answers.targets`; the network attends by `IMPLEMENTATION`."""
    hidden_TD = packed_hidden(network, training_tree(answers.packed, network.device))
    device = hidden_TD.device
    hidden_ND = hidden_TD[torch.tensor(answers.read_at, device=device)]
    targets_N = torch.tensor(answers.targets, device=device)
    head: object = network.get_output_embeddings()
    assert isinstance(head, nn.Module)
    softcap = getattr(network.config, "final_logit_softcapping", None)
    rows = max(1, _MAX_LOGITS.get(device.type, 2**26) // network.config.vocab_size)
    if isinstance(head, nn.Linear) and softcap is None and getattr(head, "bias", None) is None:
        weight: Tensor = head.weight
        if torch.is_autocast_enabled(device.type):
            # Autocast would convert a frozen weight again for every part.
            dtype = torch.get_autocast_dtype(device.type)
            hidden_ND, weight = hidden_ND.to(dtype), weight.to(dtype)
        kind = _TrainedHead if weight.requires_grad else _FrozenHead
        found: Tensor = kind.apply(hidden_ND, weight, targets_N, rows)  # type: ignore[no-untyped-call]
        return found
    parts = [
        # The logits of a part are computed again in the backward pass instead of being kept.
        checkpoint(_log_probs, head, hidden, targets, softcap, use_reentrant=False)
        if torch.is_grad_enabled()
        else _log_probs(head, hidden, targets, softcap)
        for hidden, targets in zip(hidden_ND.split(rows), targets_N.split(rows), strict=True)
    ]
    return torch.cat(parts)


def _log_probs(
    head: nn.Module, hidden_ND: Tensor, targets_N: Tensor, softcap: float | None
) -> Tensor:
    logits_NV: Tensor = head(hidden_ND).float()
    if softcap is not None:
        logits_NV = softcap * torch.tanh(logits_NV / softcap)
    chosen = logits_NV.gather(1, targets_N[:, None]).squeeze(1)
    return chosen - logits_NV.logsumexp(1)


def _shares(hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probs [N] of the targets and `softmax(W h)` [N, V], in float32."""
    logits = nn.functional.linear(hidden_ND, head_VD).float()
    chosen = logits.gather(1, targets_N[:, None])
    largest = logits.amax(1, keepdim=True)
    # In place, because every pass over the logits costs as much as a part of the product.
    sums = logits.sub_(largest).exp_().sum(1, keepdim=True)
    return (chosen - largest - sums.log()).squeeze(1), logits.div_(sums)


class _FrozenHead(torch.autograd.Function):
    """Log-probs under a head that is not trained, as under LoRA.

    The gradient of a log-prob for its hidden state is `W[target] - softmax(W h) W`, whatever the
    loss is. It is computed in the forward pass, so no logits are kept and none computed twice.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor, rows: int
    ) -> Tensor:
        log_probs = []
        wanted = hidden_ND.requires_grad
        gradients = torch.empty_like(hidden_ND) if wanted else hidden_ND.new_empty(0)
        for start in range(0, len(hidden_ND), rows):
            part = slice(start, start + rows)
            found, shares = _shares(hidden_ND[part], head_VD, targets_N[part])
            log_probs.append(found)
            if wanted:
                product = shares.to(head_VD.dtype) @ head_VD
                gradients[part] = head_VD[targets_N[part]] - product
        ctx.save_for_backward(gradients)
        return torch.cat(log_probs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (gradients,) = ctx.saved_tensors
        return (gradients * grads[0][:, None]).to(gradients.dtype), None, None, None


class _TrainedHead(torch.autograd.Function):
    """Log-probs under a head that is trained. Logits are computed again in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor, rows: int
    ) -> Tensor:
        ctx.save_for_backward(hidden_ND, head_VD, targets_N)
        ctx.rows = rows
        parts = zip(hidden_ND.split(rows), targets_N.split(rows), strict=True)
        return torch.cat([_shares(hidden, head_VD, targets)[0] for hidden, targets in parts])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden_ND, head_VD, targets_N = ctx.saved_tensors
        of_hidden = torch.empty_like(hidden_ND)
        of_head = torch.zeros_like(head_VD, dtype=torch.float32)
        for start in range(0, len(hidden_ND), ctx.rows):
            part = slice(start, start + ctx.rows)
            grad = grads[0][part, None]
            # The gradient for the logits is (one at the target - softmax) times the given one.
            _, shares = _shares(hidden_ND[part], head_VD, targets_N[part])
            of_logits = shares.mul_(-grad).scatter_add_(1, targets_N[part, None], grad)
            of_logits = of_logits.to(head_VD.dtype)
            of_hidden[part] = of_logits @ head_VD
            of_head += of_logits.T @ hidden_ND[part]
        return of_hidden, of_head.to(head_VD.dtype), None, None
