"""Attention over a packed tree on a CPU, for inference in float32, without a mask.

A segment attends to itself causally. Where others branch off it, it is seen by all that follows in
the subtree, which is one range of the flat batch: one call with many queries, which the kernel
computes several times as fast as a masked call for each segment, and for which nothing is copied.
The parts of a softmax are joined by their log-sum-exps, as blocks are in FlashAttention (arXiv
2205.14135, section 3.1). In bfloat16 the parts would be rounded before they meet, and company would
show in a score.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import torch
from torch import Tensor

from reward_model.packing import Packed, Segment


@dataclass(frozen=True, slots=True)
class AncestorCall:
    """Tokens of one segment, and all those behind the segment that see them."""

    keys: slice
    queries: slice


@dataclass(frozen=True, slots=True)
class FlashPlan:
    """A tree of segments, the way this kernel walks it.

    Attributes:
        longest: tokens of the longest path from the root.
    """

    segments: list[slice]
    lookbacks: list[AncestorCall]
    longest: int

    @classmethod
    def of(cls, packed: Packed) -> Self:
        return cls(
            [slice(segment.start, segment.end) for segment in packed.segments],
            [back for segment in packed.segments for back in _lookbacks(segment, packed)],
            max(packed.positions) + 1,
        )


def attend_by_branch(
    query: Tensor, key: Tensor, value: Tensor, branches: FlashPlan, scale: float | None
) -> Tensor:
    """Query [1, H, T, D], key and value [1, Hkv, T, D], H a multiple of Hkv -> [1, H, T, D]."""
    _, heads, length, width = query.shape
    query, key, value = _by_key_head(query, key, value)
    output = query.new_empty(length, *query.shape[:2], width).permute(1, 2, 0, 3)
    weight = query.new_empty(query.shape[:3])
    for rows in branches.segments:
        output[:, :, rows], weight[:, :, rows] = _flash(
            query[:, :, rows], key[:, :, rows], value[:, :, rows], scale, causal=True
        )
    for back in branches.lookbacks:
        rows, keys = back.queries, back.keys
        seen, seen_weight = _flash(query[:, :, rows], key[:, :, keys], value[:, :, keys], scale)
        known, known_weight = output[:, :, rows], weight[:, :, rows]
        share = torch.sigmoid(known_weight - seen_weight).unsqueeze(-1)
        torch.lerp(seen, known, share, out=known)
        torch.logaddexp(known_weight, seen_weight, out=known_weight)
    return output.reshape(1, heads, length, width)


def _lookbacks(segment: Segment, packed: Packed) -> Iterator[AncestorCall]:
    """One for each piece of the segment whose subtree ends elsewhere, behind the segment."""
    start = segment.start
    for end, piece in groupby(packed.subtree_end[segment.start : segment.end]):
        stop = start + len(list(piece))
        if end > segment.end:
            yield AncestorCall(slice(start, stop), slice(segment.end, end))
        start = stop


def _by_key_head(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[Hkv, G, T, D] each: queries in the group of the key they share, which is not copied."""
    groups = query.shape[1] // key.shape[1]
    key, value = (part[0].unsqueeze(1).expand(-1, groups, -1, -1) for part in (key, value))
    return query[0].unflatten(0, (len(key), groups)), key, value


def _flash(
    query: Tensor, key: Tensor, value: Tensor, scale: float | None, *, causal: bool = False
) -> tuple[Tensor, Tensor]:
    """Output, and the log-sum-exp [.., queries] of its products, which the public call hides."""
    output, log_sum_exp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, causal, scale=scale
    )
    return output, log_sum_exp
