"""Attention over a packed prefix tree, registered with transformers' AttentionInterface.

Several kernels, one meaning: token q sees token k exactly when k is q or an ancestor of q, and, in
a layer with a sliding window, fewer than so many positions before it. On CUDA that is one
FlexAttention call under a block mask. On a CPU inference runs the compiled kernel of
`reward_model.tree_kernel`; without one the calls of `reward_model.branches` where float32 meets
neither window nor soft cap. All else, training among it, is `reward_model.stretches`.
"""

import math

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface

from reward_model.attention.compiled import TreeKernel, tree_kernel
from reward_model.attention.flash_cpu import attend_by_branch
from reward_model.attention.flex import block_mask, capping, flex_kernel
from reward_model.attention.sdpa import AttentionParams, attend_stretches
from reward_model.attention.tree import Tree

IMPLEMENTATION = "packed_tree"
"""Name to give to `set_attn_implementation`."""


def packed_tree_attention(
    _module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    tree: Tree,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """transformers' attention signature; query [1, H, T, D], key and value [1, Hkv, T, D].

    Returns:
        Output [1, T, H, D], and None in place of attention weights.
    """
    assert attention_mask is None, "the tree is the mask"
    assert not dropout, "packed attention has no dropout"
    how = AttentionParams(scaling, sliding_window, softcap)
    return attend_tree(query, key, value, tree, how).transpose(1, 2).contiguous(), None


def attend_tree(
    query: Tensor, key: Tensor, value: Tensor, tree: Tree, how: AttentionParams
) -> Tensor:
    """Query [1, H, T, D], key and value [1, Hkv, T, D] -> [1, H, T, D]."""
    attend = attend_flex if query.device.type == "cuda" else _attend_on_cpu
    return attend(query, key, value, tree, how)


def attend_reads(
    query: Tensor, key: Tensor, value: Tensor, tree: Tree, how: AttentionParams
) -> Tensor:
    """For inference on a CPU: only the R tokens that are read see, query [1, H, R, D], as above."""
    if kernel := _compiled_for(query):
        return kernel.attend(query, key, value, tree.reach.of_tokens(tree.reads), how)
    everyone = query.new_zeros(*query.shape[:2], key.shape[2], query.shape[3])
    everyone[:, :, tree.reads] = query
    return _attend_on_cpu(everyone, key, value, tree, how)[:, :, tree.reads]


def attend_flex(
    query: Tensor, key: Tensor, value: Tensor, tree: Tree, how: AttentionParams
) -> Tensor:
    """FlexAttention; T is a multiple of its blocks."""
    if how.window not in tree.block_masks:
        positions = tree.positions_1T[0]
        tree.block_masks[how.window] = block_mask(tree.subtree_end, positions, how.window)
    output = flex_kernel(query.device.type)(
        query,
        key,
        value,
        score_mod=capping(how.softcap),
        block_mask=tree.block_masks[how.window],
        scale=how.scale,
        enable_gqa=True,
    )
    assert isinstance(output, Tensor)
    return output


def _attend_on_cpu(
    query: Tensor, key: Tensor, value: Tensor, tree: Tree, how: AttentionParams
) -> Tensor:
    if torch.is_grad_enabled():
        # Backward, the flash kernel takes three times as long as plain products on stretches this
        # short, and bfloat16 1.6 times as long as float32.
        with sdpa_kernel(SDPBackend.MATH):
            return attend_stretches(query.float(), key.float(), value.float(), tree.stretches, how)
    if kernel := _compiled_for(query):
        return kernel.attend(query, key, value, tree.reach, how)
    if _needs_masks(query, tree, how):
        return attend_stretches(query, key, value, tree.stretches, how)
    return attend_by_branch(query, key, value, tree.branches, how.scale)


def _compiled_for(query: Tensor) -> TreeKernel | None:
    kernel = tree_kernel()
    return kernel if kernel and kernel.takes(query) else None


def _needs_masks(query: Tensor, tree: Tree, how: AttentionParams) -> bool:
    windowed = tree.branches.longest > (how.window or math.inf)
    return windowed or how.softcap is not None or query.dtype != torch.float32


AttentionInterface.register(IMPLEMENTATION, packed_tree_attention)
