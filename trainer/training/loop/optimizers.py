"""AdamW as in the paper, or Muon for the layers' matrices with AdamW for the rest."""

from typing import Any

from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from trainer.training.config import LoopConfig

_BETAS = (0.9, 0.95)


def optimizer_of(config: LoopConfig, model: nn.Module) -> Optimizer:
    """The optimizer of all parameters that are trained."""
    if config.optimizer == "muon":
        return muon_and_adamw(model, config.learning_rate, config.weight_decay)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # Vectors are norms and biases, which weight decay would only pull towards zero.
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], config.learning_rate, _BETAS)


def muon_and_adamw(model: nn.Module, learning_rate: float, weight_decay: float) -> "MuonAndAdamW":
    """Both optimizers at one learning rate."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            # Muon is for hidden matrices; embeddings and the head are trained by AdamW.
            inside = parameter.ndim == 2 and ".layers." in name
            (matrices if inside else others).append(parameter)
    # Muon's updates are scaled to the size of AdamW's, so that both take the same learning rate.
    muon = Muon(
        matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    adamw = AdamW(others, lr=learning_rate, weight_decay=0.0, betas=_BETAS)
    return MuonAndAdamW(muon, adamw)


class MuonAndAdamW(Optimizer):
    """Muon and AdamW, which a scheduler and a checkpoint see as one optimizer."""

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share_groups(self.param_groups)

    def _share_groups(self, groups: list[dict[str, Any]]) -> None:
        # One dict for both sides: a scheduler writes the learning rate into these, and the parts
        # read it there.
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
