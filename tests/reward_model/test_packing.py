from hypothesis import given
from hypothesis import strategies as st

from reward_model.packing import Sequence, new_tokens, pack, padded, shared_prefix, text_of

ids = st.lists(st.integers(0, 3), min_size=1, max_size=8).map(tuple)
batches = st.lists(ids, min_size=1, max_size=8).map(
    lambda texts: [Sequence(text, tuple(range(len(text)))) for text in texts]
)


def prefixes(batch: list[Sequence]) -> set[tuple[int, ...]]:
    """Nodes of the prefix tree, written down the slow and obvious way."""
    return {s.ids[: end + 1] for s in batch for end in range(len(s.ids))}


@given(batches)
def test_computes_every_distinct_prefix_once(batch: list[Sequence]) -> None:
    assert len(pack(batch).ids) == sum(new_tokens(batch)) == len(prefixes(batch))


@given(batches)
def test_reads_point_at_the_tokens_asked_for(batch: list[Sequence]) -> None:
    packed = pack(batch)
    for sequence, reads in zip(batch, packed.reads, strict=True):
        assert [packed.ids[index] for index in reads] == list(sequence.ids)
        assert [packed.positions[index] for index in reads] == list(sequence.read_at)


@given(batches)
def test_a_sequence_is_found_again_in_the_tree(batch: list[Sequence]) -> None:
    packed = pack(batch)
    packed = padded(packed, len(packed.ids) + 3)
    assert [text_of(packed, index) for index in range(len(batch))] == batch


@given(batches)
def test_a_token_sees_exactly_its_own_prefix(batch: list[Sequence]) -> None:
    packed = pack(batch)
    for reads in packed.reads:
        query = reads[-1]
        visible = [key for key in range(query + 1) if query < packed.subtree_end[key]]
        assert visible == reads


@given(batches)
def test_segments_partition_the_batch_and_name_all_ancestors(batch: list[Sequence]) -> None:
    packed = pack(batch)
    edges = [(segment.start, segment.end) for segment in packed.segments]
    assert [index for start, end in edges for index in range(start, end)] == [
        *range(len(packed.ids))
    ]
    for segment in packed.segments:
        past = [index for start, end in segment.past for index in range(start, end)]
        first = segment.start
        assert past == [key for key in range(first) if first < packed.subtree_end[key]]


@given(ids, ids)
def test_shared_prefix_is_the_longest(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    length = shared_prefix(left, right)
    assert left[:length] == right[:length]
    assert left[length : length + 1] != right[length : length + 1] or length == len(left)


@given(batches)
def test_without_sharing_every_token_of_every_sequence_counts(batch: list[Sequence]) -> None:
    alone = [Sequence(sequence.ids, sequence.read_at[-1:]) for sequence in batch]
    assert new_tokens(alone, shares_prefixes=False) == [len(sequence.ids) for sequence in batch]


@given(batches)
def test_without_sharing_every_position_that_is_read_is_a_text(batch: list[Sequence]) -> None:
    """All positions of these are read, so each counts all prefixes of its text."""
    sums = [sum(range(1, len(sequence.ids) + 1)) for sequence in batch]
    assert new_tokens(batch, shares_prefixes=False) == sums


def test_a_repeated_text_costs_nothing() -> None:
    text = Sequence((5, 6, 7), (2,))
    assert new_tokens([text, text, text]) == [3, 0, 0]


@given(batches, st.integers(0, 9))
def test_fillers_are_a_text_of_their_own(batch: list[Sequence], fill: int) -> None:
    packed = pack(batch)
    real = len(packed.ids)
    longer = padded(packed, real + fill)
    assert len(longer.ids) == len(longer.positions) == len(longer.subtree_end) == real + fill
    assert longer.subtree_end[:real] == packed.subtree_end
    assert longer.reads == packed.reads
    fillers = [segment for segment in longer.segments if segment not in packed.segments]
    assert [(each.start, each.end, each.past) for each in fillers] == (
        [(real, real + fill, ())] if fill else []
    )
