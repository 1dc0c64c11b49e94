"""Attention over a packed tree on a CPU, for inference in float32, without a mask.

A segment attends to itself causally. To its ancestors it attends as a whole, and so do all segments
that branch off at the same place: together they are one call with many queries, which the kernel
computes several times as fast as a masked call for each. The two halves of a softmax are joined by
their log-sum-exps, as blocks are in FlashAttention (arXiv 2205.14135, section 3.1). In bfloat16 the
halves would be rounded before they meet, and company would show in a score.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor

from reward_model.packing import Range, Segment

Rows = slice | Tensor
"""Flat indices, as a slice where they are one range."""


@dataclass(frozen=True, slots=True)
class Siblings:
    """Segments with the same ancestors: their own tokens, and those of the path to them."""

    own: Rows
    past: Rows


@dataclass(frozen=True, slots=True)
class Branches:
    """A tree of segments, the way this kernel walks it.

    Attributes:
        longest: tokens of the longest path from the root.
    """

    segments: list[slice]
    siblings: list[Siblings]
    longest: int

    @classmethod
    def of(cls, segments: list[Segment]) -> Self:
        together: dict[tuple[Range, ...], list[Range]] = {}
        for segment in segments:
            together.setdefault(segment.past, []).append((segment.start, segment.end))
        return cls(
            [slice(segment.start, segment.end) for segment in segments],
            [Siblings(_rows(own), _rows([*past])) for past, own in together.items() if past],
            max(_length((*segment.past, (segment.start, segment.end))) for segment in segments),
        )


NONE = Branches([], [], 0)


def attend_by_branch(
    query: Tensor, key: Tensor, value: Tensor, branches: Branches, scale: float | None
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
    for group in branches.siblings:
        seen, seen_weight = _flash(
            query[:, :, group.own], key[:, :, group.past], value[:, :, group.past], scale
        )
        share = torch.sigmoid(weight[:, :, group.own] - seen_weight).unsqueeze(-1)
        own = output[:, :, group.own]
        output[:, :, group.own] = torch.lerp(seen, own, share)
    return output.reshape(1, heads, length, width)


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


def _rows(ranges: list[Range]) -> Rows:
    if all(left[1] == right[0] for left, right in pairwise(ranges)):
        return slice(ranges[0][0], ranges[-1][1])
    return torch.cat([torch.arange(start, end) for start, end in ranges])


def _length(ranges: tuple[Range, ...]) -> int:
    return sum(end - start for start, end in ranges)
