from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import Module
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from reward_model.attention import tree_attention as attention
from reward_model.attention.flex import block_mask
from reward_model.attention.sdpa import AttentionParams
from reward_model.attention.tree import Tree, bucketed
from reward_model.attention.tree_attention import attend_flex, packed_tree_attention
from reward_model.packing import Packed, Sequence, pack

HEADS, KEY_HEADS, WIDTH = 4, 2, 8
CPU = torch.device("cpu")

ids = st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple)
packed_batches = st.lists(ids, min_size=1, max_size=6).map(
    lambda texts: pack([Sequence(text, (len(text) - 1,)) for text in texts])
)


@dataclass(frozen=True)
class Layer:
    """What a layer of a model passes to its attention."""

    sliding_window: int | None = None
    softcap: float | None = None


LAYERS = [Layer(), Layer(sliding_window=3), Layer(softcap=0.5), Layer(2, 0.5), Layer(100)]


def visible(packed: Packed, window: int | None) -> torch.Tensor:
    """The tree's definition: k is visible to q iff k <= q < end[k], and near enough."""
    index, end = torch.arange(len(packed.ids)), torch.tensor(packed.subtree_end)
    position = torch.tensor(packed.positions)
    near = position[:, None] - position < (window or len(index))
    return (index[:, None] >= index) & (index[:, None] < end) & near


def expected(
    packed: Packed, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layer: Layer
) -> torch.Tensor:
    """Dense attention."""
    key, value = (t.repeat_interleave(HEADS // KEY_HEADS, 1) for t in (key, value))
    products = query @ key.mT / WIDTH**0.5
    if layer.softcap:
        products = layer.softcap * torch.tanh(products / layer.softcap)
    seen = visible(packed, layer.sliding_window)
    weights = products.masked_fill(~seen, -torch.inf).softmax(-1)
    output: torch.Tensor = (weights @ value).transpose(1, 2)
    return output


def random_qkv(length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(length)
    return (
        torch.randn(1, HEADS, length, WIDTH),
        torch.randn(1, KEY_HEADS, length, WIDTH),
        torch.randn(1, KEY_HEADS, length, WIDTH),
    )


@pytest.fixture(params=["compiled", "torch's"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose run: ours, as far as there are any here, or torch's, as where there are none."""
    if request.param == "torch's":
        monkeypatch.setattr(attention, "tree_kernel", lambda: None)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("layer", LAYERS)
@given(packed=packed_batches)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_trees_attend_as_the_dense_definition(layer: Layer, packed: Packed) -> None:
    query, key, value = random_qkv(len(packed.ids))
    tree, ways = Tree.of(packed, CPU), vars(layer)
    output, _ = packed_tree_attention(Module(), query, key, value, None, tree=tree, **ways)
    reference = expected(packed, query, key, value, layer)
    torch.testing.assert_close(output, reference, atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        fast, _ = packed_tree_attention(Module(), query, key, value, None, tree=tree, **ways)
    torch.testing.assert_close(fast, reference, atol=1e-5, rtol=1e-5)


def grown_in_buckets(packed: Packed) -> Tree:
    """What `grow` makes for CUDA, on the CPU."""
    return Tree.of(bucketed(packed), CPU)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("layer", LAYERS)
@given(packed=packed_batches)
@settings(max_examples=5)
def test_the_gpu_path_attends_the_same(layer: Layer, packed: Packed) -> None:
    real, tree = len(packed.ids), grown_in_buckets(packed)
    query, key, value = random_qkv(tree.ids_1T.shape[1])
    params = AttentionParams(None, layer.sliding_window, layer.softcap)
    output = attend_flex(query, key, value, tree, params).transpose(1, 2)
    reference = expected(packed, query[:, :, :real], key[:, :, :real], value[:, :, :real], layer)
    torch.testing.assert_close(output[:, :real], reference, atol=1e-5, rtol=1e-5)


long_texts = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 300), st.integers(1, 3)), min_size=1, max_size=8
)


@given(shapes=long_texts, window=st.none() | st.integers(1, 600))
@settings(max_examples=40)
def test_the_gpu_mask_is_the_tree_s_and_skips_what_it_can(
    shapes: list[tuple[int, int, int]], window: int | None
) -> None:
    """Texts share the first tokens of one trunk and go on with tokens of their own."""
    trunk = tuple(range(400))
    texts = [trunk[:shared] + (1000 + own,) * count for shared, count, own in shapes]
    packed = pack([Sequence(text, (len(text) - 1,)) for text in texts])
    tree, real = grown_in_buckets(packed), len(packed.ids)
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
        block = seen[row * 128 : (row + 1) * 128, column * 128 : (column + 1) * 128]
        assert block.all(), "a block that needs its mask goes without"
    queries, keys = torch.arange(length)[:, None], torch.arange(length)
    assert mask.mask_mod is not None
    zero = torch.tensor(0)
    assert torch.equal(mask.mask_mod(zero, zero, queries, keys), seen)
