import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import Module
from torch.nn.attention.flex_attention import create_block_mask

from reward_model import attention
from reward_model.attention import Tree, grow, packed_tree_attention
from reward_model.packing import Packed, Sequence, pack

HEADS, KEY_HEADS, WIDTH = 4, 2, 8
CPU = torch.device("cpu")

ids = st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple)
packed_batches = st.lists(ids, min_size=1, max_size=6).map(
    lambda texts: pack([Sequence(text, (len(text) - 1,)) for text in texts])
)


def expected(
    packed: Packed, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    """Dense attention under the tree's definition: k is visible to q iff k <= q < end[k]."""
    index, end = torch.arange(len(packed.ids)), torch.tensor(packed.subtree_end)
    visible = (index[:, None] >= index) & (index[:, None] < end)
    key, value = (t.repeat_interleave(HEADS // KEY_HEADS, 1) for t in (key, value))
    weights = (query @ key.mT / WIDTH**0.5).masked_fill(~visible, -torch.inf).softmax(-1)
    output: torch.Tensor = (weights @ value).transpose(1, 2)
    return output


def random_qkv(length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(length)
    return (
        torch.randn(1, HEADS, length, WIDTH),
        torch.randn(1, KEY_HEADS, length, WIDTH),
        torch.randn(1, KEY_HEADS, length, WIDTH),
    )


@given(packed_batches)
def test_segments_attend_as_the_dense_definition(packed: Packed) -> None:
    query, key, value = random_qkv(len(packed.ids))
    output, _ = packed_tree_attention(Module(), query, key, value, None, tree=grow(packed, CPU))
    torch.testing.assert_close(output, expected(packed, query, key, value), atol=1e-5, rtol=1e-5)


def bucketed(packed: Packed) -> Tree:
    """What `grow` makes for CUDA, on the CPU."""
    return attention._grow_bucketed(packed, CPU)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@given(packed_batches)
@settings(max_examples=15)
def test_the_gpu_path_attends_the_same(packed: Packed) -> None:
    real, tree = len(packed.ids), bucketed(packed)
    query, key, value = random_qkv(tree.ids_1T.shape[1])
    output, _ = packed_tree_attention(Module(), query, key, value, None, tree=tree)
    own = (part[:, :, :real] for part in (query, key, value))
    torch.testing.assert_close(output[:, :real], expected(packed, *own), atol=1e-5, rtol=1e-5)


long_texts = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 300), st.integers(1, 3)), min_size=1, max_size=8
)


@given(long_texts)
@settings(max_examples=40)
def test_the_gpu_mask_is_the_tree_s_and_skips_what_it_can(
    shapes: list[tuple[int, int, int]],
) -> None:
    """Texts share the first tokens of one trunk and go on with tokens of their own."""
    trunk = tuple(range(400))
    texts = [trunk[:shared] + (1000 + own,) * count for shared, count, own in shapes]
    packed = pack([Sequence(text, (len(text) - 1,)) for text in texts])
    mask = bucketed(packed).block_mask
    assert mask is not None
    length = mask.shape[-1]
    ends = torch.tensor(packed.subtree_end + list(range(len(packed.ids) + 1, length + 1)))
    reference = create_block_mask(
        lambda _b, _h, q, k: (q >= k) & (q < ends[k]), None, None, length, length, device="cpu"
    )
    assert torch.equal(mask.to_dense(), reference.to_dense())
    assert mask.sparsity() == reference.sparsity()
    for name in ("kv_num_blocks", "full_kv_num_blocks"):
        assert torch.equal(getattr(mask, name), getattr(reference, name)), name
