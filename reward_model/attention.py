"""Attention over a packed prefix tree, registered with transformers' AttentionInterface.

Two kernels, one meaning: token q sees token k exactly when k is q or an ancestor of q. On CPU
every segment is one scaled-dot-product call whose keys are its ancestors' and its own. On CUDA
it is one FlexAttention call under a block mask.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from reward_model.packing import Packed, Segment

IMPLEMENTATION = "packed_tree"
"""Name to give to `set_attn_implementation`."""

BUCKET = 1024
"""Flat batches on CUDA are filled up to a multiple of this, so that few shapes are seen."""

_BLOCK = 128
"""Tokens a side of FlexAttention's blocks."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one segment's attention call needs: `atoms` index the atoms its keys are made of."""

    atoms: list[int]
    causal_mask: Tensor | None


@dataclass(frozen=True, slots=True)
class Tree:
    """A packed batch on its device, T tokens long (filled up to a bucket on CUDA).

    CPU: `segment_sizes` and `atom_sizes` both partition the T tokens. Atoms are the pieces between
    any two branching points; splitting keys into atoms once keeps the backward pass linear, where
    slicing them for each segment would write a zero gradient of length T for every slice.
    CUDA: `block_mask` says it all.
    """

    ids_1T: Tensor
    positions_1T: Tensor
    segment_sizes: list[int]
    atom_sizes: list[int]
    stretches: list[Stretch]
    block_mask: BlockMask | None


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
        None,
    )


def block_mask(subtree_end: Tensor) -> BlockMask:
    """FlexAttention's mask of a tree in preorder; `subtree_end` has one entry for each token.

    Which blocks are empty, full or mixed follows from the ends alone, so no [T, T] mask is ever
    made. T must be a multiple of `_BLOCK`.
    """
    assert len(subtree_end) % _BLOCK == 0, "fill the batch up to whole blocks"

    def sees(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (query < subtree_end[key])

    ends_BN = subtree_end.view(-1, _BLOCK)
    starts_B = torch.arange(0, len(subtree_end), _BLOCK, device=subtree_end.device)
    query_starts, before = starts_B[:, None], starts_B[:, None] > starts_B
    full = before & (ends_BN.amin(1) >= query_starts + _BLOCK)
    some = before & (ends_BN.amax(1) > query_starts) & ~full
    some |= torch.eye(len(starts_B), dtype=torch.bool, device=subtree_end.device)
    return BlockMask.from_kv_blocks(
        *_block_lists(some), *_block_lists(full), BLOCK_SIZE=_BLOCK, mask_mod=sees
    )


def _block_lists(wanted: Tensor) -> tuple[Tensor, Tensor]:
    """How many key blocks each query block wants, and their indices, the wanted ones first."""
    indices = wanted.int().argsort(dim=1, descending=True, stable=True).int()
    return wanted.sum(1, dtype=torch.int)[None, None], indices[None, None]


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
    **_: object,
) -> tuple[Tensor, None]:
    """transformers' attention signature; query [1, H, T, D], key and value [1, Hkv, T, D].

    Returns:
        Output [1, T, H, D], and None in place of attention weights.
    """
    assert attention_mask is None, "the tree is the mask"
    assert not dropout, "packed attention has no dropout"
    attend = _attend_by_segment if tree.block_mask is None else _attend_flex
    return attend(query, key, value, tree, scaling).transpose(1, 2).contiguous(), None


def _attend_by_segment(
    query: Tensor, key: Tensor, value: Tensor, tree: Tree, scaling: float | None
) -> Tensor:
    if not torch.is_grad_enabled():
        return _attend_stretches(query, key, value, tree, scaling)
    # Training on CPU: backward, the flash kernel takes three times as long as plain products on
    # stretches this short, and bfloat16 1.6 times as long as float32.
    with sdpa_kernel(SDPBackend.MATH):
        return _attend_stretches(query.float(), key.float(), value.float(), tree, scaling)


def _attend_stretches(
    query: Tensor, key: Tensor, value: Tensor, tree: Tree, scaling: float | None
) -> Tensor:
    groups = query.shape[1] // key.shape[1]
    keys = key.repeat_interleave(groups, dim=1).split(tree.atom_sizes, dim=2)
    values = value.repeat_interleave(groups, dim=1).split(tree.atom_sizes, dim=2)
    outputs = [
        scaled_dot_product_attention(
            own,
            _join([keys[atom] for atom in stretch.atoms]),
            _join([values[atom] for atom in stretch.atoms]),
            attn_mask=stretch.causal_mask,
            is_causal=stretch.causal_mask is None and own.shape[2] > 1,
            scale=scaling,
        )
        for own, stretch in zip(query.split(tree.segment_sizes, dim=2), tree.stretches, strict=True)
    ]
    return torch.cat(outputs, dim=2)


def _attend_flex(
    query: Tensor, key: Tensor, value: Tensor, tree: Tree, scaling: float | None
) -> Tensor:
    output = _flex_kernel(query.device.type)(
        query, key, value, block_mask=tree.block_mask, scale=scaling, enable_gqa=True
    )
    assert isinstance(output, Tensor)
    return output


@cache
def _flex_kernel(device: str) -> Callable[..., object]:
    """Compiled on CUDA: once for the first bucket, and once more, for all sizes, at the second.

    Elsewhere it runs as written, slowly: that is how the mask is tested without a GPU.
    """
    if device != "cuda":
        return flex_attention
    compiled: Callable[..., object] = torch.compile(flex_attention)
    return compiled


def _grow_bucketed(packed: Packed, device: torch.device) -> Tree:
    """Fillers at the end see only themselves, and nothing before them sees them."""
    real = len(packed.ids)
    fill = -real % BUCKET
    ends = packed.subtree_end + list(range(real + 1, real + fill + 1))
    ids, positions = packed.ids + [0] * fill, packed.positions + [0] * fill
    mask = block_mask(torch.tensor(ends, device=device))
    return Tree(_row(ids, device), _row(positions, device), [], [], [], mask)


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
            _causal_mask(segment),
        )
        for segment in segments
    ]


def _causal_mask(segment: Segment) -> Tensor | None:
    """Boolean [own, past + own]; None where a plain causal call does: no past, or a lone token."""
    past = sum(end - start for start, end in segment.past)
    own = segment.end - segment.start
    if not past or own == 1:
        return None
    return torch.ones(own, past + own, dtype=torch.bool).tril(past)


AttentionInterface.register(IMPLEMENTATION, packed_tree_attention)
