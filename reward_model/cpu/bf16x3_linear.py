"""Linear layers in float32 on a CPU's bfloat16 matrix unit: three products in place of one.

An optimisation. Products are as `kernels/bf16x3.c` describes them; a trial at load decides whether
they replace those of oneDNN or torch.
"""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from reward_model.cpu.matrix_units import (
    Bf16x3Kernel,
    Epilogue,
    MatrixUnitsUnavailable,
    bf16x3_kernel,
)
from reward_model.cpu.onednn_linear import OneDnnLinear, Operation, seconds_of

# Rows of the trial product.
_TRIAL_ROWS = 512

# Below this, another kind of product is not worth its larger error.
_MIN_SPEEDUP = 1.1


class Bf16x3Linear(nn.Module):
    """Like `OneDnnLinear`, but without `weight`: only the kernel can read what it packed."""

    def __init__(self, kernel: Bf16x3Kernel, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self._kernel = kernel
        self._columns = len(weight)
        self._packed = kernel.pack(weight)
        self.bias = None if bias is None else bias.detach().float().contiguous()

    @classmethod
    def of(cls, kernel: Bf16x3Kernel, linear: nn.Linear | OneDnnLinear) -> Self:
        weight = linear.weight.to_dense() if linear.weight.is_mkldnn else linear.weight
        return cls(kernel, weight, linear.bias)

    def forward(self, rows: Tensor) -> Tensor:
        """Product of rows [.., in] -> [.., out]."""
        return self._product(rows, "nothing")

    def silu(self, rows: Tensor) -> Tensor:
        """SiLU of the product of rows [.., in] -> [.., out]."""
        return self._product(rows, "silu")

    def combined(self, rows: Tensor, operation: Operation, other: Tensor) -> Tensor:
        """The product of rows [N, in] plus or times another matrix [N, out]."""
        epilogue: Epilogue = "add" if operation == "add" else "multiply"
        return self._kernel.multiply(rows, self._packed, self._columns, self.bias, epilogue, other)

    def _product(self, rows: Tensor, epilogue: Epilogue) -> Tensor:
        flat = rows.reshape(-1, rows.shape[-1])
        product = self._kernel.multiply(flat, self._packed, self._columns, self.bias, epilogue)
        return product.view(*rows.shape[:-1], self._columns)


class _PackedPerCall(nn.Module):
    """A layer of the trial: it packs its weight for each product and forgets it afterwards.

    So the trial never holds more than one weight twice.
    """

    def __init__(self, kernel: Bf16x3Kernel, linear: nn.Linear | OneDnnLinear) -> None:
        super().__init__()
        self._kernel, self._linear = kernel, linear

    def forward(self, rows: Tensor) -> Tensor:
        return self._layer().forward(rows)

    def silu(self, rows: Tensor) -> Tensor:
        return self._layer().silu(rows)

    def combined(self, rows: Tensor, operation: Operation, other: Tensor) -> Tensor:
        return self._layer().combined(rows, operation, other)

    def _layer(self) -> Bf16x3Linear:
        return Bf16x3Linear.of(self._kernel, self._linear)


def unavailable(parameter: Tensor) -> str | None:
    """Why a model with this parameter cannot run on a matrix unit here; None if it may."""
    if parameter.device.type != "cpu" or parameter.dtype != torch.float32:
        return "the model does not compute in float32 on a CPU"
    try:
        bf16x3_kernel()
    except MatrixUnitsUnavailable as error:
        return str(error)
    return None


@torch.inference_mode()
def use_matrix_units(backbone: nn.Module, disagreement: Callable[[], str | None]) -> str | None:
    """Replace every linear layer below `backbone`, if that is faster and leaves the scores.

    Args:
        backbone: a model that `unavailable` has nothing against.
        disagreement: tries the forward on a probe, and returns why its scores are not the plain
            forward's; None if they are.

    Returns:
        Why they were not replaced; None if they were.
    """
    kernel = bf16x3_kernel()
    linears: dict[str, nn.Linear | OneDnnLinear] = {
        name: module
        for name, module in backbone.named_modules()
        if name and (type(module) is nn.Linear or isinstance(module, OneDnnLinear))
    }
    if not linears:
        return "the model has no linear layers"
    largest = max(linears.values(), key=lambda linear: linear.weight.numel())
    rows = torch.randn(_TRIAL_ROWS, largest.weight.shape[1])
    try:
        ours = seconds_of(Bf16x3Linear.of(kernel, largest), rows)
    except ValueError as error:
        return str(error)
    theirs = seconds_of(largest, rows)
    if theirs <= _MIN_SPEEDUP * ours:
        return f"a product takes {ours * 1e3:.1f} ms in place of {theirs * 1e3:.1f} ms"
    for name, linear in linears.items():
        backbone.set_submodule(name, _PackedPerCall(kernel, linear))
    reason = disagreement()
    while linears:
        # Each layer is forgotten before the next one is packed.
        name, linear = linears.popitem()
        backbone.set_submodule(name, linear if reason else Bf16x3Linear.of(kernel, linear))
    return reason
