"""Query, key and value projections for a CPU, with rotary positions as complex products.

An optimisation. transformers keeps the two numbers that a rotary position rotates together half a
head apart. Here they are neighbours: a pair is one complex number, and a rotation is one complex
product. Queries and keys are reordered alike, so their dot products stay the same.
"""

import torch
from torch import Tensor, nn

from reward_model.cpu.onednn_linear import OneDnnLinear


class RotaryProjection(nn.Module):
    """One product that makes several heads of width D and rotates the first of them.

    Args:
        linears: projections of one layer; the heads of the first one are rotated.
        norm: the RMSNorm before them. Its weight is multiplied into theirs, so `forward` takes
            rows that are normalised but not yet weighted.
        head_norm: an RMSNorm on each rotated head before its rotation (Qwen3); None without one.
        width: D.
        epsilon: of the norms.
    """

    def __init__(
        self,
        linears: list[nn.Linear],
        norm: nn.Module,
        head_norm: nn.Module | None,
        *,
        width: int,
        epsilon: float,
    ) -> None:
        super().__init__()
        self._rotated, self._width, self._epsilon = linears[0].out_features // width, width, epsilon
        weight, bias = stacked_weights(linears, norm)
        # Numbers that are rotated together become neighbours: 0, D/2, 1, D/2 + 1, ...
        paired, in_order = torch.arange(width).view(2, -1).T.flatten(), torch.arange(width)
        order = torch.cat(
            [
                head * width + (paired if head < self._rotated else in_order)
                for head in range(len(weight) // width)
            ]
        )
        self._linear = OneDnnLinear(weight[order], None if bias is None else bias[order])
        gain = None if head_norm is None else head_norm.get_parameter("weight").detach()
        self._gain = None if gain is None else gain[paired]

    def forward(self, rows: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
        """Rows [T, hidden], rotation [T, 1, D / 2] -> rotated heads, others; [1, heads, T, D]."""
        heads_THD = self._linear(rows).unflatten(-1, (-1, self._width))
        rotated, others = heads_THD.tensor_split([self._rotated], dim=1)
        if self._gain is not None:
            rotated = rms_normalized(rotated, self._epsilon) * self._gain
        # In place: `rotated` is a product of our own, or a view of one.
        torch.view_as_complex(rotated.unflatten(-1, (-1, 2))).mul_(rotation)
        return rotated.transpose(0, 1).unsqueeze(0), others.transpose(0, 1).unsqueeze(0)


def rotation_of(angles: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions (arXiv 2104.09864, equation 13) as complex numbers [T, 1, D / 2].

    Args:
        angles: transformers' cos and sin [1, T, D], whose second half repeats the first.
    """
    half = angles[0].shape[-1] // 2
    cos, sin = (angle[0, :, None, :half].contiguous() for angle in angles)
    return torch.complex(cos, sin)


def rms_normalized(rows: Tensor, epsilon: float) -> Tensor:
    """RMSNorm (arXiv 1910.07467, equation 4) without its weight."""
    norm: Tensor = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows * norm.square_().div_(rows.shape[-1]).add_(epsilon).rsqrt_()


def stacked_weights(linears: list[nn.Linear], norm: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of one product that stands for all, the norm's weight multiplied in."""
    gain = norm.get_parameter("weight")
    biases: list[Tensor | None] = [linear.bias for linear in linears]
    known = [bias for bias in biases if bias is not None]
    assert len(known) in (0, len(linears))
    weight = torch.cat([linear.weight for linear in linears]) * gain
    return weight, torch.cat(known) if known else None
