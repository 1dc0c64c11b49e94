import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import Module

from reward_model.attention import Tree, block_mask, grow, packed_tree_attention
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


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@given(packed_batches)
@settings(max_examples=15)
def test_the_gpu_mask_says_the_same(packed: Packed) -> None:
    query, key, value = random_qkv(len(packed.ids))
    plain = grow(packed, CPU)
    mask = block_mask(torch.tensor(packed.subtree_end))
    tree = Tree(plain.ids_1T, plain.positions_1T, [], [], [], mask)
    output, _ = packed_tree_attention(Module(), query, key, value, None, tree=tree)
    torch.testing.assert_close(output, expected(packed, query, key, value), atol=1e-5, rtol=1e-5)
