"""A packed batch on its device, with what kernels of attention want to know of it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from reward_model.attention.compiled import TreeMask
from reward_model.attention.flash_cpu import FlashPlan
from reward_model.attention.sdpa import SdpaPlan
from reward_model.packing import Packed, filled

BUCKET = 1024
"""Flat batches on CUDA are filled up to a multiple of this, so that few shapes are seen."""


@dataclass(frozen=True)
class Tree:
    """A packed batch, T tokens long (filled up to a bucket on CUDA).

    Every kernel walks the tree in a way of its own, made when a layer first asks for it and shared
    by all that follow.

    Attributes:
        reads: indices of all tokens whose scalar is wanted, in the batch's order.
        block_masks: on CUDA, by sliding window; filled as layers ask for them.
    """

    packed: Packed
    ids_1T: Tensor
    positions_1T: Tensor
    reads: Tensor
    block_masks: dict[int | None, BlockMask] = field(default_factory=dict)

    @classmethod
    def of(cls, packed: Packed, device: torch.device) -> Self:
        reads = [index for reads in packed.reads for index in reads]
        return cls(
            packed,
            torch.tensor([packed.ids], device=device),
            torch.tensor([packed.positions], device=device),
            torch.tensor(reads, device=device),
        )

    @cached_property
    def stretches(self) -> SdpaPlan:
        return SdpaPlan.of(self.packed.segments)

    @cached_property
    def branches(self) -> FlashPlan:
        return FlashPlan.of(self.packed)

    @cached_property
    def reach(self) -> TreeMask:
        return TreeMask.of(self.packed)

    @cached_property
    def subtree_end(self) -> Tensor:
        return torch.tensor(self.packed.subtree_end, device=self.ids_1T.device)


def grow(packed: Packed, device: torch.device) -> Tree:
    """Move a packed batch to its device."""
    return Tree.of(bucketed(packed) if device.type == "cuda" else packed, device)


def bucketed(packed: Packed) -> Packed:
    """The same, filled up to a whole number of buckets."""
    return filled(packed, -(-len(packed.ids) // BUCKET) * BUCKET)
