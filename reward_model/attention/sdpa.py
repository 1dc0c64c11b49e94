"""Attention over a packed tree in torch's own differentiable operations, segment by segment.

Every segment is one scaled-dot-product call whose keys are its ancestors' and its own. What trains
on a CPU runs this, and what no kernel for inference takes.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from reward_model.packing import Segment


@dataclass(frozen=True, slots=True)
class AttentionParams:
    """A layer's ways: factor on the products (None: 1 / sqrt(D)), sliding window, soft cap."""

    scale: float | None
    window: int | None
    softcap: float | None


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
class SdpaPlan:
    """A tree of segments, T tokens long, the way these calls walk it.

    `segment_sizes` and `atom_sizes` both partition the T tokens. Atoms are the pieces between any
    two branching points; splitting keys into atoms once keeps the backward pass linear, where
    slicing them for each segment would write a zero gradient of length T for every slice.

    Attributes:
        masks: of each stretch, by sliding window; filled as layers ask for them.
    """

    segment_sizes: list[int]
    atom_sizes: list[int]
    stretches: list[Stretch]
    masks: dict[int | None, list[Tensor | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, segments: list[Segment]) -> Self:
        cuts = _cuts(segments)
        return cls(
            [segment.end - segment.start for segment in segments],
            [end - start for start, end in pairwise(cuts)],
            _stretches(segments, cuts),
        )


def attend_stretches(
    query: Tensor, key: Tensor, value: Tensor, tree: SdpaPlan, how: AttentionParams
) -> Tensor:
    """Query [1, H, T, D], key and value [1, Hkv, T, D], H a multiple of Hkv -> [1, H, T, D]."""
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
    own: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, how: AttentionParams
) -> Tensor:
    causal = mask is None and own.shape[2] > 1
    return scaled_dot_product_attention(
        own, key, value, attn_mask=mask, is_causal=causal, scale=how.scale
    )


def _attend_capped(
    own: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, how: AttentionParams
) -> Tensor:
    """Products are squashed into (-cap, cap) before the softmax: arXiv 2408.00118, section 2."""
    assert how.softcap is not None
    scale = own.shape[3] ** -0.5 if how.scale is None else how.scale
    products = how.softcap * torch.tanh(own @ key.mT * (scale / how.softcap))
    if mask is None:
        mask = torch.ones(products.shape[2:], dtype=torch.bool).tril(key.shape[2] - own.shape[2])
    weights = products.masked_fill(~mask, -torch.inf).softmax(-1, dtype=torch.float32)
    return weights.to(value.dtype) @ value


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


def _masks(tree: SdpaPlan, window: int | None) -> list[Tensor | None]:
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
