"""transformers' Trainer over packed batches: ours are the loss and the choice of optimiser."""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer
from transformers import PreTrainedModel, Trainer

from trainer.training.batches import Batch
from trainer.training.loss import LossWeights, joint_loss


class PackedTrainer(Trainer):
    """Trains on `Batch`es with the joint loss, and logs its terms and the accuracy."""

    def __init__(self, *, weights: LossWeights, autocast: bool, **rest: Any) -> None:
        super().__init__(**rest)
        self._weights = weights
        self._autocast = autocast
        self._seen: defaultdict[str, list[Tensor]] = defaultdict(list)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,  # noqa: ARG002 - the signature is theirs
    ) -> Tensor:
        """`weights.rank * L_RM + weights.lm * L_LM` of one packed batch."""
        assert isinstance(model, PreTrainedModel)
        assert not return_outputs, "a packed batch has no outputs per example"
        with torch.autocast(model.device.type, torch.bfloat16, enabled=self._autocast):
            batch: Batch = inputs["batch"]
            loss = joint_loss(model, batch)
        self._note("loss_rank", loss.rank)
        self._note("loss_lm", loss.lm)
        self._note("loss_tokens", loss.tokens)
        if len(loss.margins):
            self._note("accuracy", loss.accuracy)
        return loss.total(self._weights)

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """Muon for the matrices of the layers, AdamW for embeddings, norms and the head."""
        network = model or self.model
        assert network is not None
        self.optimizer = muon_and_adamw(network, self.args.learning_rate, self.args.weight_decay)
        return self.optimizer

    def log(self, logs: dict[str, float], *rest: Any) -> None:
        means = {name: float(torch.stack(values).mean()) for name, values in self._seen.items()}
        self._seen.clear()
        super().log({**logs, **means}, *rest)

    def _note(self, name: str, value: Tensor) -> None:
        self._seen[name].append(value.detach().float())


def muon_and_adamw(model: nn.Module, learning_rate: float, weight_decay: float) -> "Both":
    """Both at one learning rate: Muon's updates are scaled to the size of AdamW's."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        inside = parameter.ndim == 2 and ".layers." in name
        (matrices if inside else others).append(parameter)
    muon = Muon(
        matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    adamw = AdamW(others, lr=learning_rate, weight_decay=0.0, betas=(0.9, 0.95))
    return Both(muon, adamw)


class Both(Optimizer):
    """Two optimisers that a scheduler and a checkpoint see as one."""

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share_groups(self.param_groups)

    def _share_groups(self, groups: list[dict[str, Any]]) -> None:
        """One dict for both sides, so that a scheduler's learning rate reaches the parts."""
        self.param_groups = groups
        rest = iter(groups)
        for part in self.parts:
            part.param_groups = [next(rest) for _ in part.param_groups]

    def step(self, closure: Any = None) -> Any:
        assert closure is None, "no line search here"
        for part in self.parts:
            part.step()
        return None

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups([group for part in self.parts for group in part.param_groups])
