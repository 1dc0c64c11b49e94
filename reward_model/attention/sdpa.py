"""Attention over a packed tree in torch's own differentiable operations, segment by segment.

Each segment is one scaled-dot-product (SDPA) call whose keys are its ancestors' and its own. It is
the reference of all kernels, and what runs on a CPU where none of them does: in training without
compiled kernels, and in inference that no faster kernel takes.
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
    """Settings of a layer's attention, where it differs from plain causal attention.

    Attributes:
        scale: factor on query-key products; None is 1 / sqrt(D).
        window: a token sees the tokens fewer than `window` positions before it; None is no limit.
        softcap: products are squashed into (-softcap, softcap); None leaves them as they are.
    """

    scale: float | None
    window: int | None
    softcap: float | None


@dataclass(frozen=True, slots=True)
class SegmentCall:
    """One segment's attention call.

    Its keys are one path of the tree from the root, so a key's index in the call is its position.

    Attributes:
        atoms: indices of the atoms (see `SdpaPlan`) that its keys consist of.
        past: how many keys are its ancestors'.
        own: how many keys are its own tokens'.
    """

    atoms: list[int]
    past: int
    own: int

    def mask(self, window: int | None) -> Tensor | None:
        """Boolean [own, past + own]; None where no mask, or SDPA's own causal one, is enough."""
        within = window is None or self.past + self.own <= window
        if within and (not self.past or self.own == 1):
            return None
        mask = torch.ones(self.own, self.past + self.own, dtype=torch.bool).tril(self.past)
        return mask if window is None else mask.triu(self.past - window + 1)


@dataclass(frozen=True, slots=True)
class SdpaPlan:
    """A tree of segments, T tokens long, as a list of attention calls.

    Atoms are the pieces between any two branching points. `segment_sizes` and `atom_sizes` each
    add up to T.

    Attributes:
        masks: the calls' masks by sliding window, filled as layers ask for them.
    """

    segment_sizes: list[int]
    atom_sizes: list[int]
    calls: list[SegmentCall]
    masks: dict[int | None, list[Tensor | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, segments: list[Segment]) -> Self:
        own = [(segment.start, segment.end) for segment in segments]
        past = [edges for segment in segments for edges in segment.past]
        cuts = sorted({edge for edges in own + past for edge in edges})
        atom_at = {cut: index for index, cut in enumerate(cuts)}
        calls = [
            SegmentCall(
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
        sizes = [end - start for start, end in own]
        return cls(sizes, [end - start for start, end in pairwise(cuts)], calls)


def attend_sdpa(
    query: Tensor, key: Tensor, value: Tensor, plan: SdpaPlan, params: AttentionParams
) -> Tensor:
    """Query [1, H, T, D], key and value [1, Hkv, T, D], H a multiple of Hkv -> [1, H, T, D]."""
    groups = query.shape[1] // key.shape[1]
    # Splitting into atoms once keeps the backward pass linear in T: a slice for each segment would
    # write a zero gradient of length T for every slice.
    keys = key.repeat_interleave(groups, dim=1).split(plan.atom_sizes, dim=2)
    values = value.repeat_interleave(groups, dim=1).split(plan.atom_sizes, dim=2)
    if params.window not in plan.masks:
        plan.masks[params.window] = [call.mask(params.window) for call in plan.calls]
    outputs = []
    for own, call, mask in zip(
        query.split(plan.segment_sizes, dim=2), plan.calls, plan.masks[params.window], strict=True
    ):
        # `torch.cat` copies even a single tensor, so a call with one atom takes it as it is.
        seen, values_seen = (
            parts[call.atoms[0]]
            if len(call.atoms) == 1
            else torch.cat([parts[atom] for atom in call.atoms], dim=2)
            for parts in (keys, values)
        )
        if params.softcap is None:
            causal = mask is None and own.shape[2] > 1
            output = scaled_dot_product_attention(
                own, seen, values_seen, attn_mask=mask, is_causal=causal, scale=params.scale
            )
        else:
            output = attend_softcapped(own, seen, values_seen, mask, params.scale, params.softcap)
        outputs.append(output)
    return torch.cat(outputs, dim=2)


def attend_softcapped(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float | None,
    softcap: float,
) -> Tensor:
    """SDPA with logit soft-capping (arXiv 2408.00118, section 2), which torch's SDPA has not."""
    scale = query.shape[3] ** -0.5 if scale is None else scale
    products = softcap * torch.tanh(query @ key.mT * (scale / softcap))
    if mask is None:
        mask = torch.ones(products.shape[2:], dtype=torch.bool).tril(key.shape[2] - query.shape[2])
    weights = products.masked_fill(~mask, -torch.inf).softmax(-1, dtype=torch.float32)
    return weights.to(value.dtype) @ value
