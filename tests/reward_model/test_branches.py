"""How a tree's segments come together; that the kernel is exact, `test_attention` shows."""

from hypothesis import given
from hypothesis import strategies as st

from reward_model.branches import Branches, Rows
from reward_model.packing import Sequence, pack

texts = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple), min_size=1, max_size=8
)


def indices(rows: Rows) -> list[int]:
    return list(range(rows.start, rows.stop)) if isinstance(rows, slice) else rows.tolist()


@given(texts)
def test_every_segment_meets_its_ancestors_once(texts: list[tuple[int, ...]]) -> None:
    packed = pack([Sequence(text, ()) for text in texts])
    branches = Branches.of(packed.segments)
    seen = {
        token: indices(group.past) for group in branches.siblings for token in indices(group.own)
    }
    assert sum(len(indices(group.own)) for group in branches.siblings) == len(seen)
    for segment in packed.segments:
        past = [index for start, end in segment.past for index in range(start, end)]
        for token in range(segment.start, segment.end):
            assert seen.get(token, []) == past


@given(texts)
def test_the_longest_path_is_the_longest_text(texts: list[tuple[int, ...]]) -> None:
    branches = Branches.of(pack([Sequence(text, ()) for text in texts]).segments)
    assert branches.longest == max(map(len, texts))


def test_candidates_of_a_prompt_look_back_at_it_together() -> None:
    prompt = (1,) * 5
    packed = pack([Sequence((*prompt, first, 0), (6,)) for first in range(2, 5)])
    (group,) = Branches.of(packed.segments).siblings
    assert group.own == slice(7, 11)
    assert group.past == slice(0, 5)
