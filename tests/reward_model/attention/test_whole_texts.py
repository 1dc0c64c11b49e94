"""Texts in one row attend each as if alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import Module

from reward_model.attention.whole_texts import FlatLayout, whole_text_attention

HEADS, WIDTH = 2, 8
CPU = torch.device("cpu")

lengths_of_texts = st.lists(st.integers(1, 9), min_size=1, max_size=8)


@given(lengths_of_texts, st.none() | st.integers(1, 10), st.none() | st.floats(0.1, 1))
@settings(max_examples=60)
def test_every_text_attends_to_itself_alone(
    lengths: list[int], window: int | None, scaling: float | None
) -> None:
    total = sum(lengths)
    torch.manual_seed(total)
    query, key, value = torch.randn(3, 1, HEADS, total, WIDTH)
    output, weights = whole_text_attention(
        Module(),
        query,
        key,
        value,
        None,
        layout=FlatLayout.of(lengths),
        scaling=scaling,
        sliding_window=window,
    )
    assert weights is None
    text = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    index = torch.arange(total)
    near = (index[:, None] - index).abs() < (window or total)
    products = query @ key.mT * (WIDTH**-0.5 if scaling is None else scaling)
    hidden = ~((text[:, None] == text) & near)
    expected = products.masked_fill(hidden, -torch.inf).softmax(-1) @ value
    torch.testing.assert_close(output, expected.transpose(1, 2), atol=1e-5, rtol=1e-5)


@given(lengths_of_texts)
def test_a_layout_finds_first_tokens_means_and_runs(lengths: list[int]) -> None:
    layout = FlatLayout.of(lengths)
    hidden_TD = torch.randn(sum(lengths), 3)
    texts = hidden_TD.split(lengths)
    assert torch.equal(layout.first_tokens(hidden_TD), torch.stack([text[0] for text in texts]))
    assert torch.equal(layout.means(hidden_TD), torch.stack([text.mean(0) for text in texts]))
    assert [length for count, length in layout.runs for _ in range(count)] == lengths
    neighbours = zip(layout.runs, layout.runs[1:], strict=False)
    assert all(left[1] != right[1] for left, right in neighbours)


def test_a_mask_is_made_once_and_only_where_a_window_hides_something() -> None:
    layout = FlatLayout.of([2, 5])
    assert layout.mask(5, None, CPU) is None
    assert layout.mask(5, 5, CPU) is None
    mask = layout.mask(5, 2, CPU)
    assert mask is not None
    assert mask is layout.mask(5, 2, CPU)
    assert mask.sum(1).tolist() == [2, 3, 3, 3, 2]


def test_a_mask_or_dropout_from_outside_is_refused() -> None:
    query, key, value = torch.randn(3, 1, HEADS, 4, WIDTH)
    layout = FlatLayout.of([4])
    with pytest.raises(AssertionError, match="the layout is the mask"):
        whole_text_attention(Module(), query, key, value, torch.ones(4, 4), layout=layout)
    with pytest.raises(AssertionError, match="dropout"):
        whole_text_attention(Module(), query, key, value, None, layout=layout, dropout=0.1)
