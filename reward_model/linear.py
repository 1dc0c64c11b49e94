"""Linear layers for a CPU: oneDNN's product on weights that are laid out for it once.

torch multiplies float32 matrices with MKL, which lays the weights out anew in every call and is
tuned for one maker's processors. oneDNN comes with torch, too. Whichever is faster here is taken.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

_ROWS = 512
"""Tokens of the trial product."""

_TURNS = 5

_GAIN = 1.1
"""How much faster it must be to be worth another kernel."""

_TOLERANCE = 1e-5
"""Largest difference from the usual product, in units of the largest entry."""


class PackedLinear(nn.Module):
    """As `nn.Linear`, for inference in float32; its weight is readable by oneDNN alone."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        bias: Tensor | None = linear.bias
        self.bias = None if bias is None else bias.detach()

    def forward(self, rows: Tensor) -> Tensor:
        product = torch.ops.mkldnn._linear_pointwise(rows, self.weight, self.bias, "none", [], None)
        assert isinstance(product, Tensor)
        return product


@torch.inference_mode()
def pack_linears(backbone: nn.Module) -> bool:
    """Replace every plain `nn.Linear` below `backbone` where that is faster and the same.

    Returns:
        Whether it did.
    """
    linears = {name: m for name, m in backbone.named_modules() if name and type(m) is nn.Linear}
    if not linears or not _pays(max(linears.values(), key=lambda linear: linear.weight.numel())):
        return False
    for name, linear in linears.items():
        backbone.set_submodule(name, PackedLinear(linear))
    return True


def _pays(linear: nn.Linear) -> bool:
    weight = linear.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return False
    if not torch.backends.mkldnn.is_available():
        return False
    packed, rows = PackedLinear(linear), torch.randn(_ROWS, linear.in_features)
    usual = linear(rows)
    if not torch.allclose(packed(rows), usual, rtol=0, atol=_TOLERANCE * float(usual.abs().max())):
        return False
    return _seconds(linear, rows) > _GAIN * _seconds(packed, rows)


def _seconds(product: Callable[[Tensor], Tensor], rows: Tensor) -> float:
    """The best of a few turns."""
    return min(_once(product, rows) for _ in range(_TURNS))


def _once(product: Callable[[Tensor], Tensor], rows: Tensor) -> float:
    started = time.perf_counter()
    product(rows)
    return time.perf_counter() - started
