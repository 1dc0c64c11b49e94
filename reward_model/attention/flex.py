"""FlexAttention over a packed prefix tree on CUDA: its block mask and its compiled call."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

BLOCK = 128
"""Tokens on each side of a block, FlexAttention's default."""


def block_mask(subtree_end: Tensor, positions: Tensor, window: int | None = None) -> BlockMask:
    """FlexAttention's mask of a tree in preorder, [T, T] in blocks of `BLOCK` x `BLOCK`.

    Args:
        subtree_end: [T], a multiple of `BLOCK`.
        positions: [T]
        window: a token sees the tokens fewer than `window` positions before it.
    """
    assert len(subtree_end) % BLOCK == 0, "pad the batch to whole blocks"

    def sees(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (query < subtree_end[key])

    def sees_near(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        assert window is not None
        return sees(batch, head, query, key) & (positions[query] - positions[key] < window)

    # Whether a block is empty, full or mixed follows from the smallest and the largest end of its
    # keys, so no [T, T] mask is ever stored. N is the number of blocks.
    ends_NB, positions_NB = subtree_end.view(-1, BLOCK), positions.view(-1, BLOCK)
    starts_N = torch.arange(0, len(subtree_end), BLOCK, device=subtree_end.device)
    query_starts, before = starts_N[:, None], starts_N[:, None] > starts_N
    full = before & (ends_NB.amin(1) >= query_starts + BLOCK)
    some = before & (ends_NB.amax(1) > query_starts)
    if window is not None:
        first, last = positions_NB.amin(1), positions_NB.amax(1)
        full &= last[:, None] - first < window
        some &= first[:, None] - last < window
    # Blocks on the diagonal are always mixed: attention is causal inside them.
    mixed = (some & ~full) | torch.eye(len(starts_N), dtype=torch.bool, device=subtree_end.device)
    return BlockMask.from_kv_blocks(
        *_block_lists(mixed),
        *_block_lists(full),
        BLOCK_SIZE=BLOCK,
        mask_mod=sees if window is None else sees_near,
    )


def _block_lists(wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Counts [1, 1, N] and indices [1, 1, N, N] of each query block's key blocks, those first."""
    indices = wanted.int().argsort(dim=1, descending=True, stable=True).int()
    return wanted.sum(1, dtype=torch.int)[None, None], indices[None, None]


@cache
def softcap_function(softcap: float | None) -> Callable[..., Tensor] | None:
    """FlexAttention's `score_mod` for a soft cap; None without one."""
    # Cached, because FlexAttention is compiled anew for every other function object.
    if softcap is None:
        return None

    def capped(score: Tensor, *_: Tensor) -> Tensor:
        return softcap * torch.tanh(score / softcap)

    return capped


@cache
def flex_kernel(device: str) -> Callable[..., object]:
    """`flex_attention`, compiled on CUDA.

    torch compiles it for the first bucket, and at the second once more for all sizes. Elsewhere it
    runs uncompiled and slowly, which tests of the mask without a GPU rely on.
    """
    if device != "cuda":
        return flex_attention
    # Every shape of heads, dtype, window and soft cap is compiled, and all models of a process
    # share one limit, of 8 by default. Beyond it torch would go on uncompiled without a word:
    # slowly, and with a [T, T] matrix in memory. So the limit is high, and reaching it an error.
    torch._dynamo.config.recompile_limit = 64
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    compiled: Callable[..., object] = torch.compile(flex_attention)
    return compiled
