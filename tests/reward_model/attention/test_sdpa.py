"""The reference of all kernels: one call a segment."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_model.attention.sdpa import AttentionParams, SdpaPlan, SegmentCall, attend_sdpa
from reward_model.packing import Packed, Sequence, pack
from tests.reward_model.attention.dense import (
    LAYERS,
    dense_attention,
    packed_batches,
    random_qkv,
    visible,
)


@pytest.mark.parametrize("params", LAYERS)
@given(packed=packed_batches)
@settings(max_examples=20)
def test_segments_attend_as_the_dense_definition(params: AttentionParams, packed: Packed) -> None:
    query, key, value = random_qkv(len(packed.ids))
    output = attend_sdpa(query, key, value, SdpaPlan.of(packed.segments), params)
    expected = dense_attention(packed, query, key, value, params)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)


@given(packed_batches)
def test_the_keys_of_a_call_are_the_path_of_its_segment(packed: Packed) -> None:
    plan = SdpaPlan.of(packed.segments)
    indices = torch.arange(len(packed.ids)).split(plan.atom_sizes)
    assert sum(plan.segment_sizes) == sum(plan.atom_sizes) == len(packed.ids)
    seen = visible(packed, None)
    for segment, call in zip(packed.segments, plan.calls, strict=True):
        keys = torch.cat([indices[atom] for atom in call.atoms])
        last = segment.end - 1
        assert keys.tolist() == seen[last].nonzero().flatten().tolist()
        assert (call.past + call.own, call.own) == (len(keys), segment.end - segment.start)


@given(st.integers(0, 9), st.integers(1, 9), st.none() | st.integers(1, 20))
def test_a_call_has_no_mask_only_where_it_needs_none(
    past: int, own: int, window: int | None
) -> None:
    mask = SegmentCall([], past, own).mask(window)
    query, key = torch.arange(past, past + own)[:, None], torch.arange(past + own)
    expected = (key <= query) & (query - key < (window or past + own))
    if mask is not None:
        assert torch.equal(mask, expected)
    elif own == 1:
        assert expected.all(), "a lone token sees every key"
    else:
        assert not past, "SDPA's own causal mask is enough"
        assert torch.equal(expected, torch.ones(own, own).tril().bool())


def test_masks_are_made_once_for_each_window() -> None:
    packed = pack([Sequence((1, 2, 3), ()), Sequence((1, 2, 4, 5), ())])
    plan = SdpaPlan.of(packed.segments)
    for window in (None, 2, 2, None):
        attend_sdpa(*random_qkv(len(packed.ids)), plan, AttentionParams(None, window, None))
    assert plan.masks.keys() == {None, 2}
