"""Linear layers for a CPU in float32: oneDNN's matrix product on weights that are reordered once.

An optimisation. torch multiplies float32 matrices with MKL, which reorders the weights in every
call and is tuned for one vendor's processors. oneDNN, which torch ships too, keeps the reordered
weights, and can apply what often follows a product while it is still in the cache: an activation,
or its sum or product with another matrix.

oneDNN compiles a kernel for every number of rows, which takes milliseconds and memory that is never
freed. So rows are padded to one of a few numbers.
"""

import time
from typing import Literal, Self

import torch
from torch import Tensor, nn

# Rows of the trial product, and for which oneDNN chooses the layout of the weights.
_TRIAL_ROWS = 512

# Rows are padded to a multiple of this, in larger batches to a multiple of more.
_MIN_STEP = 16

# Different numbers of rows between one power of two and the next, at most.
_STEPS_PER_OCTAVE = 16

# Trials of each product; the fastest one counts, because noise only ever slows down.
_TRIAL_ROUNDS = 5

# Below this, another kind of layer is not worth its memory.
_MIN_SPEEDUP = 1.1

# Largest accepted difference from torch's product, relative to its largest entry.
_TOLERANCE = 1e-5

Operation = Literal["add", "mul"]


class OneDnnLinear(nn.Module):
    """Like `nn.Linear`, for inference in float32; only oneDNN can read its weight."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        weight = weight.detach().contiguous()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, _TRIAL_ROWS)
        self.bias = None if bias is None else bias.detach()

    @classmethod
    def of(cls, linear: nn.Linear) -> Self:
        return cls(linear.weight, linear.bias)

    def forward(self, rows: Tensor) -> Tensor:
        """Product of rows [.., in] -> [.., out]."""
        return self._product(rows, "none")

    def silu(self, rows: Tensor) -> Tensor:
        """SiLU of the product of rows [.., in] -> [.., out]."""
        return self._product(rows, "swish")

    def combined(self, rows: Tensor, operation: Operation, other: Tensor) -> Tensor:
        """The product of rows [N, in] plus or times another matrix [N, out]."""
        product = torch.ops.mkldnn._linear_pointwise.binary(
            _padded(rows), _padded(other), self.weight, self.bias, operation
        )
        assert isinstance(product, Tensor)
        return product[: len(rows)]

    def _product(self, rows: Tensor, activation: str) -> Tensor:
        flat = rows.reshape(-1, rows.shape[-1])
        product = torch.ops.mkldnn._linear_pointwise(
            _padded(flat), self.weight, self.bias, activation, [], None
        )
        assert isinstance(product, Tensor)
        return product[: len(flat)].view(*rows.shape[:-1], product.shape[-1])


def padded_rows(rows: int) -> int:
    """The number of rows to pad to: at most a sixteenth more than `rows`, or 15 more."""
    step = max(_MIN_STEP, (1 << (rows - 1).bit_length()) // (2 * _STEPS_PER_OCTAVE))
    return -(-rows // step) * step


def _padded(rows: Tensor) -> Tensor:
    """[N, width] -> [padded_rows(N), width]"""
    padding = padded_rows(len(rows)) - len(rows)
    return nn.functional.pad(rows, (0, 0, 0, padding)) if padding else rows


def runs_on_onednn(parameter: Tensor) -> bool:
    """Whether a layer with this parameter can run on oneDNN: float32 on a CPU."""
    on_cpu = parameter.device.type == "cpu" and parameter.dtype == torch.float32
    return on_cpu and torch.backends.mkldnn.is_available()


@torch.inference_mode()
def replace_linears(backbone: nn.Module) -> bool:
    """Replace every plain `nn.Linear` below `backbone`, if that is faster and gives the same.

    Returns:
        Whether they were replaced.
    """
    linears = {name: m for name, m in backbone.named_modules() if name and type(m) is nn.Linear}
    if not linears:
        return False
    largest = max(linears.values(), key=lambda linear: linear.weight.numel())
    if not runs_on_onednn(largest.weight):
        return False
    # A trial on the largest layer decides for all of them.
    replacement, rows = OneDnnLinear.of(largest), torch.randn(_TRIAL_ROWS, largest.in_features)
    expected = largest(rows)
    tolerance = _TOLERANCE * float(expected.abs().max())
    if not torch.allclose(replacement(rows), expected, rtol=0, atol=tolerance):
        return False
    if seconds_of(largest, rows) <= _MIN_SPEEDUP * seconds_of(replacement, rows):
        return False
    for name, linear in linears.items():
        backbone.set_submodule(name, OneDnnLinear.of(linear))
    return True


def seconds_of(layer: nn.Module, rows: Tensor) -> float:
    """Seconds that one product takes, in the fastest of a few trials."""
    seconds = []
    for _ in range(_TRIAL_ROUNDS):
        started = time.perf_counter()
        layer(rows)
        seconds.append(time.perf_counter() - started)
    return min(seconds)
