"""Attention over a packed prefix tree, registered with transformers' AttentionInterface.

Token q sees token k exactly when k is q itself or an ancestor of q, and, in a layer with a sliding
window, fewer than `window` positions before it. Several kernels compute that one meaning:

    CUDA                     one FlexAttention call under a block mask       `flex`
    CPU, inference           our compiled C kernel                           `compiled`
    CPU, training            our C kernel, and that of its gradients         `compiled_gradient`
    CPU, inference, float32  torch's flash kernel, when nothing is compiled  `flash_cpu`
    everything else          one masked SDPA call a segment                  `sdpa`

Everything else is training without compiled kernels, and inference without them where a layer
has a window or a soft cap, or works in bfloat16.
"""

import math

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface

from reward_model.attention.compiled import TreeKernel, tree_kernel
from reward_model.attention.compiled_gradient import training_kernels
from reward_model.attention.flash_cpu import attend_flash
from reward_model.attention.flex import block_mask, flex_kernel, softcap_function
from reward_model.attention.sdpa import AttentionParams, attend_sdpa
from reward_model.attention.tree import Tree

IMPLEMENTATION = "packed_tree"
"""The name to give to `set_attn_implementation`."""


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
    params = AttentionParams(scaling, sliding_window, softcap)
    return attend_tree(query, key, value, tree, params).transpose(1, 2).contiguous(), None


def attend_tree(
    query: Tensor, key: Tensor, value: Tensor, tree: Tree, params: AttentionParams
) -> Tensor:
    """Query [1, H, T, D], key and value [1, Hkv, T, D] -> [1, H, T, D]."""
    if not query.dtype == key.dtype == value.dtype:
        # Under autocast a product is in bfloat16, and rotary embeddings make float32 of query and
        # key. No kernel takes both; a CPU keeps float32, in which it is as fast.
        dtype = torch.float32 if query.device.type == "cpu" else value.dtype
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    if query.device.type == "cuda":
        return attend_flex(query, key, value, tree, params)
    if torch.is_grad_enabled():
        # Both paths compute in float32; bfloat16 is no faster.
        query, key, value = query.float(), key.float(), value.float()
        kernels = training_kernels()
        if kernels and kernels.forward.takes(query):
            return kernels.attend(query, key, value, tree.mask, params)
        # Segments are short. Backward on them, torch's flash kernel takes three times as long as
        # plain matrix products.
        with sdpa_kernel(SDPBackend.MATH):
            return attend_sdpa(query, key, value, tree.sdpa_plan, params)
    if kernel := _compiled_kernel(query):
        return kernel.attend(query, key, value, tree.mask, params)
    exceeds_window = tree.flash_plan.max_path > (params.window or math.inf)
    if exceeds_window or params.softcap is not None or query.dtype != torch.float32:
        return attend_sdpa(query, key, value, tree.sdpa_plan, params)
    return attend_flash(query, key, value, tree.flash_plan, params.scale)


def attend_reads(
    query: Tensor, key: Tensor, value: Tensor, tree: Tree, params: AttentionParams
) -> Tensor:
    """Attention of the R tokens in `tree.reads` alone, for inference on a CPU.

    Query [1, H, R, D], key and value [1, Hkv, T, D] -> [1, H, R, D].
    """
    if kernel := _compiled_kernel(query):
        return kernel.attend(query, key, value, tree.mask.for_tokens(tree.reads), params)
    # torch's kernels take a query for every token; zeros cost time and change no other row.
    full = query.new_zeros(*query.shape[:2], key.shape[2], query.shape[3])
    full[:, :, tree.reads] = query
    return attend_tree(full, key, value, tree, params)[:, :, tree.reads]


def attend_flex(
    query: Tensor, key: Tensor, value: Tensor, tree: Tree, params: AttentionParams
) -> Tensor:
    """`attend_tree` by FlexAttention; T must be a multiple of its block size."""
    if params.window not in tree.block_masks:
        positions = tree.positions_1T[0]
        tree.block_masks[params.window] = block_mask(tree.subtree_end, positions, params.window)
    output = flex_kernel(query.device.type)(
        query,
        key,
        value,
        score_mod=softcap_function(params.softcap),
        block_mask=tree.block_masks[params.window],
        scale=params.scale,
        enable_gqa=True,
    )
    assert isinstance(output, Tensor)
    return output


def _compiled_kernel(query: Tensor) -> TreeKernel | None:
    kernel = tree_kernel()
    return kernel if kernel and kernel.takes(query) else None


AttentionInterface.register(IMPLEMENTATION, packed_tree_attention)
