"""Attention over a packed prefix tree, registered with transformers' AttentionInterface.

Several kernels, one meaning: token q sees token k exactly when k is q or an ancestor of q, and, in
a layer with a sliding window, fewer than so many positions before it. On CPU every segment is one
scaled-dot-product call whose keys are its ancestors' and its own, or, for inference in float32 with
neither window nor soft cap in the way, the calls of `reward_model.branches`. On CUDA it is one
FlexAttention call under a block mask.
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from reward_model.branches import NONE, Branches, attend_by_branch
from reward_model.flex import block_mask, capping, flex_kernel
from reward_model.packing import Packed, Segment, filled

IMPLEMENTATION = "packed_tree"
"""Name to give to `set_attn_implementation`."""

BUCKET = 1024
"""Flat batches on CUDA are filled up to a multiple of this, so that few shapes are seen."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one segment's attention call needs.

    `atoms` index the atoms its keys are made of: `past` keys of its ancestors, `own` of itself.
    They are one path of the tree, so a key's index is its position.
    """

    atoms: list[int]
    past: int
    own: int


@dataclass(frozen=True, slots=True)
class Tree:
    """A packed batch on its device, T tokens long (filled up to a bucket on CUDA).

    CPU: `segment_sizes` and `atom_sizes` both partition the T tokens. Atoms are the pieces between
    any two branching points; splitting keys into atoms once keeps the backward pass linear, where
    slicing them for each segment would write a zero gradient of length T for every slice.
    CUDA: a block mask says it all.

    Attributes:
        reads: indices of all tokens whose scalar is wanted, in the batch's order.
        branches: on CPU; of nothing on CUDA.
        subtree_end: on CUDA; None on CPU.
        masks: on CPU, of each stretch, by sliding window; filled as layers ask for them.
        block_masks: on CUDA, by sliding window; likewise.
    """

    ids_1T: Tensor
    positions_1T: Tensor
    segment_sizes: list[int]
    atom_sizes: list[int]
    stretches: list[Stretch]
    reads: Tensor
    branches: Branches
    subtree_end: Tensor | None
    masks: dict[int | None, list[Tensor | None]] = field(default_factory=dict)
    block_masks: dict[int | None, BlockMask] = field(default_factory=dict)


def grow(packed: Packed, device: torch.device) -> Tree:
    """Move a packed batch to its device with everything that all layers share."""
    if device.type == "cuda":
        return _grow_bucketed(packed, device)
    cuts = _cuts(packed.segments)
    return Tree(
        _row(packed.ids, device),
        _row(packed.positions, device),
        [segment.end - segment.start for segment in packed.segments],
        [end - start for start, end in pairwise(cuts)],
        _stretches(packed.segments, cuts),
        _reads(packed, device),
        Branches.of(packed),
        None,
    )


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
    attend = _attend_by_segment if tree.subtree_end is None else _attend_flex
    how = How(scaling, sliding_window, softcap)
    return attend(query, key, value, tree, how).transpose(1, 2).contiguous(), None


@dataclass(frozen=True, slots=True)
class How:
    """A layer's ways: factor on the products (None: 1 / sqrt(D)), sliding window, soft cap."""

    scale: float | None
    window: int | None
    softcap: float | None


def _attend_by_segment(query: Tensor, key: Tensor, value: Tensor, tree: Tree, how: How) -> Tensor:
    if not torch.is_grad_enabled():
        if not _needs_masks(query, tree, how):
            return attend_by_branch(query, key, value, tree.branches, how.scale)
        return _attend_stretches(query, key, value, tree, how)
    # Training on CPU: backward, the flash kernel takes three times as long as plain products on
    # stretches this short, and bfloat16 1.6 times as long as float32.
    with sdpa_kernel(SDPBackend.MATH):
        return _attend_stretches(query.float(), key.float(), value.float(), tree, how)


def _needs_masks(query: Tensor, tree: Tree, how: How) -> bool:
    windowed = tree.branches.longest > (how.window or math.inf)
    return windowed or how.softcap is not None or query.dtype != torch.float32


def _attend_stretches(query: Tensor, key: Tensor, value: Tensor, tree: Tree, how: How) -> Tensor:
    groups = query.shape[1] // key.shape[1]
    keys = key.repeat_interleave(groups, dim=1).split(tree.atom_sizes, dim=2)
    values = value.repeat_interleave(groups, dim=1).split(tree.atom_sizes, dim=2)
    attend = _attend_plainly if how.softcap is None else _attend_capped
    outputs = [
        attend(
            own,
            _join([keys[atom] for atom in stretch.atoms]),
            _join([values[atom] for atom in stretch.atoms]),
            mask,
            how,
        )
        for own, stretch, mask in zip(
            query.split(tree.segment_sizes, dim=2),
            tree.stretches,
            _masks(tree, how.window),
            strict=True,
        )
    ]
    return torch.cat(outputs, dim=2)


def _attend_plainly(
    own: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, how: How
) -> Tensor:
    causal = mask is None and own.shape[2] > 1
    return scaled_dot_product_attention(
        own, key, value, attn_mask=mask, is_causal=causal, scale=how.scale
    )


def _attend_capped(
    own: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, how: How
) -> Tensor:
    """Products are squashed into (-cap, cap) before the softmax: arXiv 2408.00118, section 2."""
    assert how.softcap is not None
    scale = own.shape[3] ** -0.5 if how.scale is None else how.scale
    products = how.softcap * torch.tanh(own @ key.mT * (scale / how.softcap))
    if mask is None:
        mask = torch.ones(products.shape[2:], dtype=torch.bool).tril(key.shape[2] - own.shape[2])
    weights = products.masked_fill(~mask, -torch.inf).softmax(-1, dtype=torch.float32)
    return weights.to(value.dtype) @ value


def _attend_flex(query: Tensor, key: Tensor, value: Tensor, tree: Tree, how: How) -> Tensor:
    assert tree.subtree_end is not None
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


def _grow_bucketed(packed: Packed, device: torch.device) -> Tree:
    whole = filled(packed, -(-len(packed.ids) // BUCKET) * BUCKET)
    ends_T = torch.tensor(whole.subtree_end, device=device)
    ids, positions = _row(whole.ids, device), _row(whole.positions, device)
    return Tree(ids, positions, [], [], [], _reads(whole, device), NONE, ends_T)


def _reads(packed: Packed, device: torch.device) -> Tensor:
    return torch.tensor([index for reads in packed.reads for index in reads], device=device)


def _row(values: list[int], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device).unsqueeze(0)


def _join(pieces: list[Tensor]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=2)


def _cuts(segments: list[Segment]) -> list[int]:
    ranges = [(segment.start, segment.end) for segment in segments]
    past = [edges for segment in segments for edges in segment.past]
    return sorted({edge for edges in ranges + past for edge in edges})


def _stretches(segments: list[Segment], cuts: list[int]) -> list[Stretch]:
    atom_at = {cut: index for index, cut in enumerate(cuts)}
    return [
        Stretch(
            [
                atom
                for start, end in (*segment.past, (segment.start, segment.end))
                for atom in range(atom_at[start], atom_at[end])
            ],
            sum(end - start for start, end in segment.past),
            segment.end - segment.start,
        )
        for segment in segments
    ]


def _masks(tree: Tree, window: int | None) -> list[Tensor | None]:
    if window not in tree.masks:
        tree.masks[window] = [_mask(stretch, window) for stretch in tree.stretches]
    return tree.masks[window]


def _mask(stretch: Stretch, window: int | None) -> Tensor | None:
    """Boolean [own, past + own]; None where a plain causal call does: no past, or a lone token."""
    past, own = stretch.past, stretch.own
    within = window is None or past + own <= window
    if within and (not past or own == 1):
        return None
    mask = torch.ones(own, past + own, dtype=torch.bool).tril(past)
    return mask if window is None else mask.triu(past - window + 1)


AttentionInterface.register(IMPLEMENTATION, packed_tree_attention)
