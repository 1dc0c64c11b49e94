"""Attention over whole texts laid side by side, registered with transformers' AttentionInterface.

Every token of a text sees every other one of it, in a layer with a sliding window those less than
so many positions away on either side, and none of another text.
"""

from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

IMPLEMENTATION = "side_by_side"
"""Name to give to `set_attn_implementation`."""


@dataclass(frozen=True, slots=True)
class FlatLayout:
    """How a flat batch of T tokens divides into texts.

    Attributes:
        lengths: tokens of each text, in the batch's order.
        runs: neighbours of equal length, as (how many texts, tokens of each).
        masks: by (length, sliding window); filled as layers ask for them.
    """

    lengths: list[int]
    runs: list[tuple[int, int]]
    masks: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, lengths: list[int]) -> "FlatLayout":
        runs = [(len(list(group)), length) for length, group in groupby(lengths)]
        return cls(lengths, runs)

    def firsts(self, hidden_TD: Tensor) -> Tensor:
        """The first token of each text."""
        lengths = torch.tensor(self.lengths, device=hidden_TD.device)
        return hidden_TD[lengths.cumsum(0) - lengths]

    def means(self, hidden_TD: Tensor) -> Tensor:
        return torch.stack([text.mean(0) for text in hidden_TD.split(self.lengths)])

    def mask(self, length: int, window: int | None, device: torch.device) -> Tensor | None:
        """Boolean [length, length]; None where every token sees every other one."""
        if window is None or length <= window:
            return None
        if (length, window) not in self.masks:
            ones = torch.ones(length, length, dtype=torch.bool, device=device)
            self.masks[length, window] = ones.tril(window - 1).triu(1 - window)
        return self.masks[length, window]


def side_by_side_attention(
    _module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    texts: FlatLayout,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """transformers' attention signature; query, key and value [1, H, T, D].

    Returns:
        Output [1, T, H, D], and None in place of attention weights.
    """
    assert attention_mask is None, "the layout is the mask"
    assert not dropout, "attention over whole texts has no dropout"
    sizes = [count * length for count, length in texts.runs]
    pieces = zip(*(tensor[0].split(sizes, dim=1) for tensor in (query, key, value)), strict=True)
    outputs = [
        _attend_run(piece, run, texts.mask(run[1], sliding_window, query.device), scaling)
        for piece, run in zip(pieces, texts.runs, strict=True)
    ]
    return torch.cat(outputs).unsqueeze(0), None


def _attend_run(
    piece: tuple[Tensor, ...], run: tuple[int, int], mask: Tensor | None, scaling: float | None
) -> Tensor:
    """Texts of equal length [H, n * L, D], attended as a batch [n, H, L, D] -> [n * L, H, D]."""
    query, key, value = (tensor.unflatten(1, run).transpose(0, 1) for tensor in piece)
    output = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    return output.transpose(1, 2).flatten(0, 1)


AttentionInterface.register(IMPLEMENTATION, side_by_side_attention)
