"""The definition of attention over a packed tree, with a dense mask: every kernel must give it."""

import torch
from hypothesis import strategies as st

from reward_model.attention.sdpa import AttentionParams
from reward_model.packing import Packed, Sequence, pack

HEADS, KEY_HEADS, WIDTH = 4, 2, 16  # the narrowest that our compiled kernels take
PLAIN = AttentionParams(None, None, None)
LAYERS = [
    PLAIN,
    AttentionParams(None, 3, None),
    AttentionParams(0.2, None, 0.5),
    AttentionParams(None, 2, 0.5),
    AttentionParams(None, 100, None),
]

texts = st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple)
packed_batches = st.lists(texts, min_size=1, max_size=6).map(
    lambda batch: pack([Sequence(text, (len(text) - 1,)) for text in batch])
)


def visible(packed: Packed, window: int | None) -> torch.Tensor:
    """[T, T]: k is visible to q if and only if k <= q < end[k], and near enough."""
    index, end = torch.arange(len(packed.ids)), torch.tensor(packed.subtree_end)
    position = torch.tensor(packed.positions)
    near = position[:, None] - position < (window or len(index))
    return (index[:, None] >= index) & (index[:, None] < end) & near


def dense_attention(
    packed: Packed,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    params: AttentionParams,
) -> torch.Tensor:
    """[1, H, T, D]"""
    key, value = (t.repeat_interleave(query.shape[1] // key.shape[1], 1) for t in (key, value))
    scale = query.shape[3] ** -0.5 if params.scale is None else params.scale
    products = query @ key.mT * scale
    if params.softcap:
        products = params.softcap * torch.tanh(products / params.softcap)
    weights = products.masked_fill(~visible(packed, params.window), -torch.inf).softmax(-1)
    output: torch.Tensor = weights @ value
    return output


def random_qkv(length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Query [1, HEADS, T, WIDTH], key and value [1, KEY_HEADS, T, WIDTH]."""
    torch.manual_seed(length)
    return (
        torch.randn(1, HEADS, length, WIDTH),
        torch.randn(1, KEY_HEADS, length, WIDTH),
        torch.randn(1, KEY_HEADS, length, WIDTH),
    )
