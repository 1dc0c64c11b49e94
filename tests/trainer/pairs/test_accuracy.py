from trainer.pairs.accuracy import accuracy, longer_is_chosen
from trainer.pairs.row import PreferenceRow, Rejected


def test_ties_count_half() -> None:
    assert accuracy([1.0, 0.0, -1.0, 0.0]) == 0.5
    assert accuracy([3.0, 0.0]) == 0.75


def test_length_alone_gets_what_it_gets() -> None:
    def row(chosen: str, *rejected: str) -> PreferenceRow:
        return PreferenceRow("", "", "", chosen, tuple(Rejected("weak", text) for text in rejected))

    assert longer_is_chosen([row("abc", "a", "abcd"), row("ab", "cd", "")]) == 2.5 / 4
    assert longer_is_chosen([]) is None
