"""FlexAttention over a packed prefix tree: its block mask, derived from where subtrees end."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

BLOCK = 128
"""Tokens a side of a block."""


def block_mask(subtree_end: Tensor, positions: Tensor, window: int | None = None) -> BlockMask:
    """FlexAttention's mask of a tree in preorder; one entry for each of T tokens.

    Which blocks are empty, full or mixed follows from the ends alone, so no [T, T] mask is ever
    made. T must be a multiple of `BLOCK`.
    """
    assert len(subtree_end) % BLOCK == 0, "fill the batch up to whole blocks"

    def sees(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (query < subtree_end[key])

    def sees_near(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        assert window is not None
        return sees(batch, head, query, key) & (positions[query] - positions[key] < window)

    ends_BN, positions_BN = subtree_end.view(-1, BLOCK), positions.view(-1, BLOCK)
    starts_B = torch.arange(0, len(subtree_end), BLOCK, device=subtree_end.device)
    query_starts, before = starts_B[:, None], starts_B[:, None] > starts_B
    full = before & (ends_BN.amin(1) >= query_starts + BLOCK)
    some = before & (ends_BN.amax(1) > query_starts)
    if window is not None:
        first, last = positions_BN.amin(1), positions_BN.amax(1)
        full &= last[:, None] - first < window
        some &= first[:, None] - last < window
    some = (some & ~full) | torch.eye(len(starts_B), dtype=torch.bool, device=subtree_end.device)
    return BlockMask.from_kv_blocks(
        *_block_lists(some),
        *_block_lists(full),
        BLOCK_SIZE=BLOCK,
        mask_mod=sees if window is None else sees_near,
    )


def _block_lists(wanted: Tensor) -> tuple[Tensor, Tensor]:
    """How many key blocks each query block wants, and their indices, the wanted ones first."""
    indices = wanted.int().argsort(dim=1, descending=True, stable=True).int()
    return wanted.sum(1, dtype=torch.int)[None, None], indices[None, None]


@cache
def capping(softcap: float | None) -> Callable[..., Tensor] | None:
    """One function for each cap, so that it is compiled once."""
    if softcap is None:
        return None

    def capped(score: Tensor, *_: Tensor) -> Tensor:
        return softcap * torch.tanh(score / softcap)

    return capped


@cache
def flex_kernel(device: str) -> Callable[..., object]:
    """Compiled on CUDA: once for the first bucket, and once more, for all sizes, at the second.

    Elsewhere it runs as written, slowly: that is how the mask is tested without a GPU.
    """
    if device != "cuda":
        return flex_attention
    compiled: Callable[..., object] = torch.compile(flex_attention)
    return compiled
