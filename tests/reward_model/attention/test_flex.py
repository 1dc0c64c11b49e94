"""The path for CUDA, tested without a GPU: its block mask, and FlexAttention uncompiled."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounter
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from reward_model.attention import tree_attention
from reward_model.attention.flex import BLOCK, block_mask, flex_kernel, softcap_function
from reward_model.attention.sdpa import AttentionParams
from reward_model.attention.tree import Tree, bucketed
from reward_model.attention.tree_attention import attend_flex
from reward_model.packing import Packed, Sequence, pack
from tests.reward_model.attention.dense import (
    LAYERS,
    PLAIN,
    dense_attention,
    packed_batches,
    random_qkv,
    visible,
)


def tree_in_buckets(packed: Packed) -> Tree:
    """The tree that a batch becomes on CUDA, on the CPU."""
    return Tree.of(bucketed(packed), torch.device("cpu"))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("params", LAYERS)
@given(packed=packed_batches)
@settings(max_examples=5)
def test_the_gpu_path_attends_as_the_dense_definition(
    params: AttentionParams, packed: Packed
) -> None:
    real, tree = len(packed.ids), tree_in_buckets(packed)
    query, key, value = random_qkv(tree.ids_1T.shape[1])
    output = attend_flex(query, key, value, tree, params)
    query, key, value = (part[:, :, :real] for part in (query, key, value))
    expected = dense_attention(packed, query, key, value, params)
    torch.testing.assert_close(output[:, :, :real], expected, atol=1e-5, rtol=1e-5)


long_texts = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 300), st.integers(1, 3)), min_size=1, max_size=8
)


@given(shapes=long_texts, window=st.none() | st.integers(1, 600))
@settings(max_examples=40)
def test_the_block_mask_is_the_tree_s_and_skips_every_block_that_it_can(
    shapes: list[tuple[int, int, int]], window: int | None
) -> None:
    """Texts share the first tokens of one trunk and go on with tokens of their own."""
    trunk = tuple(range(400))
    texts = [trunk[:shared] + (1000 + own,) * count for shared, count, own in shapes]
    packed = pack([Sequence(text, (len(text) - 1,)) for text in texts])
    tree, real = tree_in_buckets(packed), len(packed.ids)
    mask = block_mask(tree.subtree_end, tree.positions_1T[0], window)
    length = mask.shape[-1]
    seen = torch.eye(length, dtype=torch.bool)
    seen[:real, :real] = visible(packed, window)
    reference = create_block_mask(
        lambda _b, _h, q, k: seen[q, k], None, None, length, length, "cpu"
    )
    blocks, wanted = mask.to_dense()[0, 0].bool(), reference.to_dense()[0, 0].bool()
    assert not (wanted & ~blocks).any(), "a block that is needed is skipped"
    assert window is not None or torch.equal(blocks, wanted)
    assert mask.full_kv_num_blocks is not None
    assert mask.full_kv_indices is not None
    full = BlockMask.from_kv_blocks(mask.full_kv_num_blocks, mask.full_kv_indices)
    for row, column in full.to_dense()[0, 0].nonzero().tolist():
        rows, columns = (slice(at * BLOCK, (at + 1) * BLOCK) for at in (row, column))
        assert seen[rows, columns].all(), "a block that needs its mask goes without"
    queries, keys = torch.arange(length)[:, None], torch.arange(length)
    assert mask.mask_mod is not None
    zero = torch.tensor(0)
    assert torch.equal(mask.mask_mod(zero, zero, queries, keys), seen)


def test_new_trees_and_sizes_compile_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on CUDA, where a compilation takes seconds; only the kernel itself is left out here."""
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(flex_attention, backend=counter)
    monkeypatch.setattr(tree_attention, "flex_kernel", lambda _: compiled)

    def attend(*lengths: int) -> None:
        texts = [(first, *range(10, 9 + length)) for first, length in enumerate(lengths)]
        packed = pack([Sequence(text, (len(text) - 1,)) for text in texts])
        tree = tree_in_buckets(packed)
        for params in (PLAIN, AttentionParams(None, 50, 2.0)):
            with torch.inference_mode():
                attend_flex(*random_qkv(tree.ids_1T.shape[1]), tree, params)

    attend(100, 150)
    attend(300, 400)
    warm = counter.frame_count
    for lengths in [(5,), (60, 200), (400,), (600, 300), (90, 90, 90), (700, 500, 1000)]:
        attend(*lengths)
    assert counter.frame_count == warm > 0
    torch._dynamo.reset()


def test_a_batch_that_is_not_whole_blocks_is_refused() -> None:
    with pytest.raises(AssertionError, match="whole blocks"):
        block_mask(torch.arange(1, BLOCK), torch.arange(BLOCK - 1))


def test_each_soft_cap_has_one_function_and_none_has_none() -> None:
    assert softcap_function(None) is None
    capped = softcap_function(2.0)
    assert capped is softcap_function(2.0)
    assert capped is not None
    torch.testing.assert_close(capped(torch.tensor(100.0)), torch.tensor(2.0))


def test_without_cuda_nothing_is_compiled() -> None:
    assert flex_kernel("cpu") is flex_kernel("cpu")
    assert flex_kernel("cpu").__name__ == "flex_attention"
