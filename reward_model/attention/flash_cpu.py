"""Attention over a packed tree by torch's CPU flash kernel: inference in float32, without masks.

An optimisation that is used where our own kernel is not compiled. A segment attends to itself
causally. Where others branch off it, the tokens that see it are everything that follows in its
subtree, which is one range of the flat batch: one call with many queries, for which nothing is
copied, and which is several times as fast as a masked call for each segment. Partial softmaxes
are merged by their log-sum-exps, as FlashAttention merges its blocks (arXiv 2205.14135, section
3.1).
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Self

import torch
from torch import Tensor

from reward_model.packing import Packed


@dataclass(frozen=True, slots=True)
class AncestorCall:
    """One call: keys inside one segment, and as queries all tokens after it that see them."""

    keys: slice
    queries: slice


@dataclass(frozen=True, slots=True)
class FlashPlan:
    """A tree of segments as a list of flash calls.

    Attributes:
        segments: flat ranges that attend to themselves.
        ancestor_calls: in flat order of their keys.
        max_path: tokens on the longest path from the root.
    """

    segments: list[slice]
    ancestor_calls: list[AncestorCall]
    max_path: int

    @classmethod
    def of(cls, packed: Packed) -> Self:
        calls = []
        for segment in packed.segments:
            start = segment.start
            # Tokens of a segment whose subtrees end together are seen by the same later tokens.
            for end, piece in groupby(packed.subtree_end[segment.start : segment.end]):
                stop = start + len(list(piece))
                if end > segment.end:
                    calls.append(AncestorCall(slice(start, stop), slice(segment.end, end)))
                start = stop
        segments = [slice(segment.start, segment.end) for segment in packed.segments]
        return cls(segments, calls, max(packed.positions) + 1)


def attend_flash(
    query: Tensor, key: Tensor, value: Tensor, plan: FlashPlan, scale: float | None
) -> Tensor:
    """Query [1, H, T, D], key and value [1, Hkv, T, D], H a multiple of Hkv -> [1, H, T, D].

    For float32 alone: partial results in bfloat16 would be rounded before they are merged, and a
    score would depend on the other texts of its batch.
    """
    _, heads, length, width = query.shape
    groups = heads // key.shape[1]
    # [Hkv, G, T, D] each: a group of queries shares its key, which `expand` does not copy.
    key, value = (part[0].unsqueeze(1).expand(-1, groups, -1, -1) for part in (key, value))
    query = query[0].unflatten(0, (len(key), groups))
    output = query.new_empty(length, *query.shape[:2], width).permute(1, 2, 0, 3)
    log_sum_exp = query.new_empty(query.shape[:3])
    for rows in plan.segments:
        output[:, :, rows], log_sum_exp[:, :, rows] = _flash(
            query[:, :, rows], key[:, :, rows], value[:, :, rows], scale, causal=True
        )
    for call in plan.ancestor_calls:
        rows, keys = call.queries, call.keys
        part, part_lse = _flash(query[:, :, rows], key[:, :, keys], value[:, :, keys], scale)
        merged, merged_lse = output[:, :, rows], log_sum_exp[:, :, rows]
        # Both are views: what is written to them is written to `output` and `log_sum_exp`.
        share = torch.sigmoid(merged_lse - part_lse).unsqueeze(-1)
        torch.lerp(part, merged, share, out=merged)
        torch.logaddexp(merged_lse, part_lse, out=merged_lse)
    return output.reshape(1, heads, length, width)


def _flash(
    query: Tensor, key: Tensor, value: Tensor, scale: float | None, *, causal: bool = False
) -> tuple[Tensor, Tensor]:
    """Output, and the log-sum-exp [.., queries] of its products, which the public call hides."""
    output, log_sum_exp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, causal, scale=scale
    )
    return output, log_sum_exp
