"""Heads of an attention layer on a CPU: from normed rows to queries, or to keys and values.

What rotary positions turn together lies side by side here, where the layers of transformers have it
half a head apart: a pair is then one complex number, and to turn it is one product. A query and a
key are both reordered, so their product is the same.
"""

import torch
from torch import Tensor, nn

from reward_model.cpu.onednn_linear import PackedLinear


class Heads(nn.Module):
    """One product for several heads of width D, of which the first are turned and the others not.

    Args:
        linears: the projections of one layer, the first of which makes the heads that turn.
        norm: whose weight the rows have yet to be multiplied by.
        head_norm: an RMSNorm that the turned heads go through; None without one.
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
        self._turned, self._width, self._epsilon = linears[0].out_features // width, width, epsilon
        weight, bias = stacked(linears, norm)
        order = _order(len(weight) // width, self._turned, width)
        self._product = PackedLinear(weight[order], None if bias is None else bias[order])
        gain = None if head_norm is None else head_norm.get_parameter("weight").detach()
        self._gain = None if gain is None else gain[_paired(width)]

    def forward(self, rows: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
        """Normed rows [T, hidden], turns [T, 1, D / 2] -> turned heads, others [1, heads, T, D]."""
        heads_THD = self._product(rows).unflatten(-1, (-1, self._width))
        turned, others = heads_THD.tensor_split([self._turned], dim=1)
        if self._gain is not None:
            turned = rms_normed(turned, self._epsilon) * self._gain
        torch.view_as_complex(turned.unflatten(-1, (-1, 2))).mul_(turns)
        return turned.transpose(0, 1).unsqueeze(0), others.transpose(0, 1).unsqueeze(0)


def turns_of(angles: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions (arXiv 2104.09864, equation 13) as complex numbers [T, 1, D / 2].

    Args:
        angles: cos and sin [1, T, D] of transformers, the second half of which repeats the first.
    """
    half = angles[0].shape[-1] // 2
    cos, sin = (angle[0, :, None, :half].contiguous() for angle in angles)
    return torch.complex(cos, sin)


def rms_normed(rows: Tensor, epsilon: float) -> Tensor:
    """RMSNorm (arXiv 1910.07467, equation 4) but for its weight."""
    norm: Tensor = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows * norm.square_().div_(rows.shape[-1]).add_(epsilon).rsqrt_()


def stacked(linears: list[nn.Linear], norm: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of one product for all; its rows are normed, but for the norm's weight."""
    gain = norm.get_parameter("weight")
    biases: list[Tensor | None] = [linear.bias for linear in linears]
    known = [bias for bias in biases if bias is not None]
    assert len(known) in (0, len(linears))
    weight = torch.cat([linear.weight for linear in linears]) * gain
    return weight, torch.cat(known) if known else None


def _order(heads: int, turned: int, width: int) -> Tensor:
    within = [_paired(width) if head < turned else torch.arange(width) for head in range(heads)]
    return torch.cat([head * width + order for head, order in enumerate(within)])


def _paired(width: int) -> Tensor:
    """Of a head's numbers, those that turn together, side by side: 0, D/2, 1, D/2 + 1, ..."""
    return torch.arange(width).view(2, -1).T.flatten()
