"""Whichever kernel is chosen, attention over a tree is that of the dense definition."""

from functools import partial

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch.nn import Module

from reward_model.attention import tree_attention as attention
from reward_model.attention.sdpa import AttentionParams
from reward_model.attention.tree import Tree
from reward_model.attention.tree_attention import attend_reads, packed_tree_attention
from reward_model.packing import Packed, Sequence, pack
from tests.reward_model.attention.dense import (
    LAYERS,
    PLAIN,
    dense_attention,
    packed_batches,
    random_qkv,
)

CPU = torch.device("cpu")


@pytest.fixture(params=["compiled", "torch's"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our kernel, if it is compiled here, or torch's, as where it is not."""
    if request.param == "torch's":
        monkeypatch.setattr(attention, "tree_kernel", lambda: None)
        monkeypatch.setattr(attention, "training_kernels", lambda: None)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("params", LAYERS)
@given(packed=packed_batches)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_trees_attend_as_the_dense_definition(params: AttentionParams, packed: Packed) -> None:
    query, key, value = random_qkv(len(packed.ids))
    attend = partial(
        packed_tree_attention,
        tree=Tree.of(packed, CPU),
        scaling=params.scale,
        sliding_window=params.window,
        softcap=params.softcap,
    )
    output, _ = attend(Module(), query, key, value, None)
    expected = dense_attention(packed, query, key, value, params).transpose(1, 2)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        fast, _ = attend(Module(), query, key, value, None)
    torch.testing.assert_close(fast, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("params", LAYERS)
@torch.inference_mode()
def test_tokens_to_read_attend_as_among_all_tokens(params: AttentionParams) -> None:
    trunk = tuple(range(40))
    batch = [trunk, (*trunk[:9], 50, 51), (*trunk[:9], 60), (70,)]
    packed = pack([Sequence(text, (0, len(text) - 1)) for text in batch])
    tree = Tree.of(packed, CPU)
    query, key, value = random_qkv(len(packed.ids))
    read = attend_reads(query[:, :, tree.reads], key, value, tree, params)
    expected = dense_attention(packed, query, key, value, params)[:, :, tree.reads]
    torch.testing.assert_close(read, expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_bfloat16_stays_bfloat16() -> None:
    packed = pack([Sequence((1, 2, 3), (2,)), Sequence((1, 2, 4), (2,))])
    query, key, value = (part.bfloat16() for part in random_qkv(len(packed.ids)))
    tree = Tree.of(packed, CPU)
    output, weights = packed_tree_attention(Module(), query, key, value, None, tree=tree)
    assert (output.dtype, weights) == (torch.bfloat16, None)
    expected = dense_attention(packed, query.float(), key.float(), value.float(), PLAIN)
    torch.testing.assert_close(output.float(), expected.transpose(1, 2), atol=2e-2, rtol=2e-2)


@pytest.mark.usefixtures("kernels")
@torch.inference_mode()
def test_a_value_in_bfloat16_joins_float32_as_under_autocast() -> None:
    """Rotary embeddings make float32 of query and key, and leave the value as autocast made it."""
    packed = pack([Sequence((1, 2, 3), (2,)), Sequence((1, 2, 4), (2,))])
    query, key, value = random_qkv(len(packed.ids))
    tree = Tree.of(packed, CPU)
    output, _ = packed_tree_attention(Module(), query, key, value.bfloat16(), None, tree=tree)
    expected = dense_attention(packed, query, key, value.bfloat16().float(), PLAIN)
    torch.testing.assert_close(output, expected.transpose(1, 2), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("kernels")
def test_gradients_are_those_of_the_dense_definition() -> None:
    packed = pack([Sequence((1, 2, 3, 4), (3,)), Sequence((1, 2, 5), (2,)), Sequence((1,), (0,))])
    inputs = random_qkv(len(packed.ids))
    for part in inputs:
        part.requires_grad_()
    output, _ = packed_tree_attention(Module(), *inputs, None, tree=Tree.of(packed, CPU))
    expected = dense_attention(packed, *inputs, PLAIN).transpose(1, 2)
    found = torch.autograd.grad(output.square().sum(), inputs)
    wanted = torch.autograd.grad(expected.square().sum(), inputs)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_a_mask_or_dropout_from_outside_is_refused() -> None:
    packed = pack([Sequence((1, 2), (1,))])
    query, key, value = random_qkv(2)
    tree = Tree.of(packed, CPU)
    with pytest.raises(AssertionError, match="the tree is the mask"):
        packed_tree_attention(Module(), query, key, value, torch.ones(2, 2), tree=tree)
    with pytest.raises(AssertionError, match="dropout"):
        packed_tree_attention(Module(), query, key, value, None, tree=tree, dropout=0.1)
