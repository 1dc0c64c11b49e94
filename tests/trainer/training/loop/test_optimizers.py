from copy import deepcopy

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from trainer.training.loop.optimizers import MuonAndAdamW, muon_and_adamw


class Tiny(nn.Module):
    """One matrix inside the layers, and one parameter outside of them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.ModuleDict({"layers": nn.Sequential(nn.Linear(4, 4, bias=False))})
        self.head = nn.Linear(4, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.head(self.body["layers"](x))
        return output


def optimizer(model: nn.Module) -> MuonAndAdamW:
    return muon_and_adamw(model, learning_rate=0.1, weight_decay=0.0)


def step(model: nn.Module, both: MuonAndAdamW) -> None:
    both.zero_grad()
    model(torch.ones(2, 4)).pow(2).sum().backward()
    both.step()


def test_each_parameter_is_in_one_part() -> None:
    model = Tiny()
    muon, adamw = optimizer(model).parts
    sizes = [[p.ndim for g in part.param_groups for p in g["params"]] for part in (muon, adamw)]
    assert sizes == [[2], [2]]
    assert muon.param_groups[0]["params"][0] is next(model.body.parameters())


def test_a_schedule_reaches_both_parts_also_after_a_resume() -> None:
    model = Tiny()
    both = optimizer(model)
    step(model, both)
    resumed = optimizer(model)
    resumed.load_state_dict(both.state_dict())
    for each in (both, resumed):
        LambdaLR(each, lambda _: 0.5)
        assert [g["lr"] for part in each.parts for g in part.param_groups] == [0.05, 0.05]


def test_a_resumed_optimiser_takes_the_same_step() -> None:
    first, second = Tiny(), Tiny()
    one = optimizer(first)
    step(first, one)
    second.load_state_dict(first.state_dict())
    two = optimizer(second)
    two.load_state_dict(deepcopy(one.state_dict()))
    step(first, one)
    step(second, two)
    for name, weight in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], weight)
