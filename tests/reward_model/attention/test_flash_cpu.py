"""The calls that a tree is divided into, and what their merged parts are."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_model.attention.flash_cpu import AncestorCall, FlashPlan, attend_flash
from reward_model.attention.sdpa import AttentionParams
from reward_model.packing import Packed, Sequence, pack, padded
from tests.reward_model.attention.dense import dense_attention, packed_batches, random_qkv

texts = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple), min_size=1, max_size=8
)


def indices(rows: slice) -> range:
    return range(rows.start, rows.stop)


@given(texts, st.integers(0, 5))
def test_every_token_looks_back_at_each_of_its_ancestors_once(
    texts: list[tuple[int, ...]], fill: int
) -> None:
    packed = pack([Sequence(text, ()) for text in texts])
    real = len(packed.ids)
    plan = FlashPlan.of(padded(packed, real + fill))
    for segment in packed.segments:
        past = [index for start, end in segment.past for index in range(start, end)]
        for token in range(segment.start, segment.end):
            seen = [
                key
                for back in plan.ancestor_calls
                if token in indices(back.queries)
                for key in indices(back.keys)
            ]
            assert sorted(seen) == past
    assert all(back.queries.stop <= real for back in plan.ancestor_calls)


@given(texts)
def test_the_longest_path_is_the_longest_text(texts: list[tuple[int, ...]]) -> None:
    plan = FlashPlan.of(pack([Sequence(text, ()) for text in texts]))
    assert plan.max_path == max(map(len, texts))


def test_candidates_of_a_prompt_look_back_at_it_together() -> None:
    prompt = (1,) * 5
    packed = pack([Sequence((*prompt, first, 0), (6,)) for first in range(2, 5)])
    assert FlashPlan.of(packed).ancestor_calls == [AncestorCall(slice(0, 5), slice(7, 11))]


def test_candidates_that_begin_alike_look_back_at_the_prompt_with_the_others() -> None:
    prompt = (1,) * 5
    packed = pack([Sequence((*prompt, *rest), ()) for rest in ((2, 0), (2, 3), (4, 0))])
    assert FlashPlan.of(packed).ancestor_calls == [
        AncestorCall(slice(0, 5), slice(7, 10)),
        AncestorCall(slice(5, 6), slice(7, 8)),
    ]


@given(packed_batches, st.none() | st.floats(0.1, 1))
@settings(max_examples=30)
def test_merged_parts_are_the_dense_definition(packed: Packed, scale: float | None) -> None:
    query, key, value = random_qkv(len(packed.ids))
    output = attend_flash(query, key, value, FlashPlan.of(packed), scale)
    expected = dense_attention(packed, query, key, value, AttentionParams(scale, None, None))
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
