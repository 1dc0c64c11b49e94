import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_model.packing import Sequence
from service.scoring.result_cache import ENTRY_BYTES, ResultCache


def last_read(*ids: int) -> Sequence:
    return Sequence(ids, (len(ids) - 1,))


def test_a_score_is_found_again_by_ids_and_position_alone() -> None:
    cache = ResultCache(10 * ENTRY_BYTES)
    cache.put(last_read(1, 2, 3), (0.5,))
    assert cache.get(Sequence((1, 2, 3), (2,))) == (0.5,)
    assert cache.get(Sequence((1, 2, 3), (1,))) is None
    assert cache.get(last_read(1, 2)) is None


@given(st.lists(st.lists(st.integers(0, 2**31), min_size=1, max_size=4), unique_by=tuple))
def test_different_sequences_never_meet(texts: list[list[int]]) -> None:
    cache = ResultCache(1000 * ENTRY_BYTES)
    sequences = [Sequence(tuple(ids), (position,)) for ids in texts for position in range(len(ids))]
    for number, sequence in enumerate(sequences):
        cache.put(sequence, (float(number),))
    assert [cache.get(sequence) for sequence in sequences] == [
        (float(number),) for number in range(len(sequences))
    ]


def test_the_least_recently_used_entry_is_evicted() -> None:
    cache = ResultCache(2 * ENTRY_BYTES)
    cache.put(last_read(1), (1.0,))
    cache.put(last_read(2), (2.0,))
    assert cache.get(last_read(1)) == (1.0,)
    cache.put(last_read(3), (3.0,))
    assert [cache.get(last_read(n)) for n in (1, 2, 3)] == [(1.0,), None, (3.0,)]
    assert cache.bytes == 2 * ENTRY_BYTES


def test_a_size_of_zero_disables_the_cache() -> None:
    cache = ResultCache(0)
    cache.put(last_read(1), (1.0,))
    assert (cache.get(last_read(1)), cache.bytes) == (None, 0)


def test_scores_of_several_labels_are_one_entry_and_take_more() -> None:
    cache = ResultCache(3 * ENTRY_BYTES)
    cache.put(last_read(1), (1.0, 2.0, 3.0))
    cache.put(last_read(1), (1.0, 2.0, 3.0))
    assert cache.get(last_read(1)) == (1.0, 2.0, 3.0)
    assert ENTRY_BYTES < cache.bytes < 2 * ENTRY_BYTES
    cache.put(last_read(2), (4.0, 5.0, 6.0))
    cache.put(last_read(3), (7.0, 8.0, 9.0))
    assert cache.get(last_read(1)) is None
    assert cache.bytes <= 3 * ENTRY_BYTES


@pytest.mark.parametrize("labels", [1, 2, 19])
def test_an_entry_takes_no_more_than_is_counted(labels: int) -> None:
    cache = ResultCache(40_000 * ENTRY_BYTES)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(20_000):
        cache.put(last_read(number, 7), tuple(float(number + label) for label in range(labels)))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.7 * cache.bytes <= after - before <= cache.bytes
