"""Attention over whole texts in one flat row, for encoders; registered with AttentionInterface.

Every token sees every token of its own text, in a layer with a sliding window those fewer than
`window` positions away on either side, and no token of another text.
"""

from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

IMPLEMENTATION = "whole_texts"
"""The name to give to `set_attn_implementation`."""


@dataclass(frozen=True, slots=True)
class FlatLayout:
    """How a flat batch of T tokens divides into texts.

    Attributes:
        lengths: tokens of each text, in the batch's order.
        runs: neighbours of equal length, as (number of texts, tokens of each).
        masks: by (length, sliding window), filled as layers ask for them.
    """

    lengths: list[int]
    runs: list[tuple[int, int]]
    masks: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, lengths: list[int]) -> "FlatLayout":
        runs = [(len(list(group)), length) for length, group in groupby(lengths)]
        return cls(lengths, runs)

    def first_tokens(self, hidden_TD: Tensor) -> Tensor:
        """Hidden states [texts, hidden] of each text's first token."""
        lengths = torch.tensor(self.lengths, device=hidden_TD.device)
        return hidden_TD[lengths.cumsum(0) - lengths]

    def means(self, hidden_TD: Tensor) -> Tensor:
        """Mean hidden states [texts, hidden] of each text's tokens."""
        return torch.stack([text.mean(0) for text in hidden_TD.split(self.lengths)])

    def mask(self, length: int, window: int | None, device: torch.device) -> Tensor | None:
        """Boolean [length, length]; None where every token sees every other one."""
        if window is None or length <= window:
            return None
        if (length, window) not in self.masks:
            ones = torch.ones(length, length, dtype=torch.bool, device=device)
            self.masks[length, window] = ones.tril(window - 1).triu(1 - window)
        return self.masks[length, window]


def whole_text_attention(
    _module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    layout: FlatLayout,
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
    sizes = [count * length for count, length in layout.runs]
    parts = zip(*(tensor[0].split(sizes, dim=1) for tensor in (query, key, value)), strict=True)
    outputs = []
    for part, run in zip(parts, layout.runs, strict=True):
        # n texts of equal length L are a batch: [H, n * L, D] -> [n, H, L, D] -> [n * L, H, D].
        batch_query, batch_key, batch_value = (t.unflatten(1, run).transpose(0, 1) for t in part)
        mask = layout.mask(run[1], sliding_window, query.device)
        output = scaled_dot_product_attention(
            batch_query, batch_key, batch_value, attn_mask=mask, scale=scaling
        )
        outputs.append(output.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs).unsqueeze(0), None


AttentionInterface.register(IMPLEMENTATION, whole_text_attention)
