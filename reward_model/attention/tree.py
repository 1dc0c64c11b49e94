"""A packed batch on its device, and the form in which each attention kernel reads it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from reward_model.attention.compiled import TreeMask
from reward_model.attention.flash_cpu import FlashPlan
from reward_model.attention.sdpa import SdpaPlan
from reward_model.packing import Packed, padded

BUCKET = 1024
"""On CUDA, flat batches are padded to a multiple of this, so that few shapes are compiled."""

SMALLEST_BUCKET = 256
"""Short batches are padded to a power of two from here on. Of 128 tokens there would be one block,
and torch compiles anew for a dimension of size 1."""


@dataclass(frozen=True)
class Tree:
    """A packed batch, T tokens long (filled up to a bucket on CUDA).

    Each kernel's plan is made when a layer first asks for it, and all later layers share it.

    Attributes:
        reads: flat indices of all tokens to read, in the batch's order.
        block_masks: FlexAttention's masks by sliding window, filled as layers ask for them.
    """

    packed: Packed
    ids_1T: Tensor
    positions_1T: Tensor
    reads: Tensor
    block_masks: dict[int | None, BlockMask] = field(default_factory=dict)

    @classmethod
    def of(cls, packed: Packed, device: torch.device) -> Self:
        """Move a packed batch to its device."""
        if device.type == "cuda":
            packed = bucketed(packed)
        reads = [index for reads in packed.reads for index in reads]
        return cls(
            packed,
            to_device([packed.ids], device),
            to_device([packed.positions], device),
            to_device(reads, device),
        )

    @cached_property
    def sdpa_plan(self) -> SdpaPlan:
        return SdpaPlan.of(self.packed.segments)

    @cached_property
    def flash_plan(self) -> FlashPlan:
        return FlashPlan.of(self.packed)

    @cached_property
    def mask(self) -> TreeMask:
        return TreeMask.of(self.packed)

    @cached_property
    def subtree_end(self) -> Tensor:
        return to_device(self.packed.subtree_end, self.ids_1T.device)


def bucketed(packed: Packed) -> Packed:
    """The same tree, padded to a whole number of buckets, or a short one to a power of two."""
    length = len(packed.ids)
    if length < BUCKET:
        return padded(packed, max(SMALLEST_BUCKET, 1 << (length - 1).bit_length()))
    return padded(packed, -(-length // BUCKET) * BUCKET)


def to_device(values: Sequence[int] | Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """A tensor of integers on a device; on CUDA the host does not wait for what runs there."""
    tensor = torch.tensor(values, dtype=torch.int64)
    if device.type != "cuda":
        return tensor.to(device)
    # From memory that may be paged out, a copy waits until the device has done all before it.
    return tensor.pin_memory().to(device, non_blocking=True)
