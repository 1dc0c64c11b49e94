from trainer.pairs.accuracy import accuracy


def test_ties_count_half() -> None:
    assert accuracy([1.0, 0.0, -1.0, 0.0]) == 0.5
    assert accuracy([3.0, 0.0]) == 0.75
