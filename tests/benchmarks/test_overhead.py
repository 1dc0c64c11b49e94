from benchmarks.overhead import batches
from reward_model.packing import Sequence


def test_batches_are_full_by_what_they_compute() -> None:
    shared = [Sequence((1, 2, 3, 4, last), (4,)) for last in range(5, 9)]
    assert [len(batch) for batch in batches(shared, most=6)] == [2, 2]
    assert [len(batch) for batch in batches(shared, most=1)] == [1, 1, 1, 1]
    assert [each for batch in batches(shared, most=7) for each in batch] == shared
    assert not list(batches([]))
