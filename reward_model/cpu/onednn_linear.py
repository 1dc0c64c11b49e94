"""Linear layers for a CPU: oneDNN's product on weights that are laid out for it once.

torch multiplies float32 matrices with MKL, which lays the weights out anew in every call and is
tuned for one maker's processors. oneDNN comes with torch, too, and can do to a product, while it
is in the cache, what often follows: an activation, or its sum or product with another matrix.

For every number of rows oneDNN compiles a product of its own, which takes milliseconds and memory
that does not come back. So rows are filled up to one of a few numbers.
"""

import time
from collections.abc import Callable
from typing import Literal, Self

import torch
from torch import Tensor, nn

_ROWS = 512
"""Tokens of the trial product, for which weights are laid out."""

_LEAST_STEP, _STEPS = 16, 16
"""Rows come in multiples of the one, and of more where an octave would hold more than so many."""

_TURNS = 5

_GAIN = 1.1
"""How much faster it must be to be worth another kernel."""

_TOLERANCE = 1e-5
"""Largest difference from the usual product, in units of the largest entry."""

Operation = Literal["add", "mul"]


class PackedLinear(nn.Module):
    """As `nn.Linear`, for inference in float32; its weight is readable by oneDNN alone."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), _ROWS)
        self.bias = None if bias is None else bias.detach()

    @classmethod
    def of(cls, linear: nn.Linear) -> Self:
        return cls(linear.weight, linear.bias)

    def forward(self, rows: Tensor) -> Tensor:
        return self._product(rows, "none")

    def silu(self, rows: Tensor) -> Tensor:
        """SiLU of the product. Rows are of any shape [.., width]; those of `combined` are flat."""
        return self._product(rows, "swish")

    def combined(self, rows: Tensor, operation: Operation, other: Tensor) -> Tensor:
        """The product plus or times another matrix of its shape."""
        product = torch.ops.mkldnn._linear_pointwise.binary(
            _filled(rows), _filled(other), self.weight, self.bias, operation
        )
        assert isinstance(product, Tensor)
        return product[: len(rows)]

    def _product(self, rows: Tensor, activation: str) -> Tensor:
        flat = rows.reshape(-1, rows.shape[-1])
        product = torch.ops.mkldnn._linear_pointwise(
            _filled(flat), self.weight, self.bias, activation, [], None
        )
        assert isinstance(product, Tensor)
        return product[: len(flat)].view(*rows.shape[:-1], product.shape[-1])


def compiled_rows(rows: int) -> int:
    """So many rows or a few more, of which there are products: at most a sixteenth more, or 15."""
    step = max(_LEAST_STEP, (1 << (rows - 1).bit_length()) // (2 * _STEPS))
    return -(-rows // step) * step


def _filled(rows: Tensor) -> Tensor:
    """[N, width] -> [M, width], where M rows are compiled for."""
    fill = compiled_rows(len(rows)) - len(rows)
    return nn.functional.pad(rows, (0, 0, 0, fill)) if fill else rows


def runs_on_onednn(parameter: Tensor) -> bool:
    """Whether a layer with this parameter can be one for oneDNN."""
    on_cpu = parameter.device.type == "cpu" and parameter.dtype == torch.float32
    return on_cpu and torch.backends.mkldnn.is_available()


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
        backbone.set_submodule(name, PackedLinear.of(linear))
    return True


def _pays(linear: nn.Linear) -> bool:
    if not runs_on_onednn(linear.weight):
        return False
    packed, rows = PackedLinear.of(linear), torch.randn(_ROWS, linear.in_features)
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
