"""Files are held out whole, and every held-out split gets rows where there are files enough."""

from hypothesis import given
from hypothesis import strategies as st

from trainer.history.hold_out import FileNames, divide
from trainer.pairs.split import HoldOut

SHARES = HoldOut(evaluation_share=0.15, calibration_share=0.05)
SIZES = st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 50), max_size=30)


@given(SIZES, SIZES)
def test_every_file_has_one_side_and_both_held_out_splits_have_rows(
    rows: dict[str, int], functions: dict[str, int]
) -> None:
    splits = divide(rows, functions, SHARES)
    assert splits.keys() == rows.keys() | functions.keys()
    divided = rows if len(rows) >= 3 else functions
    total = sum(divided.values())
    if len(divided) >= 3 and max(divided.values()) <= total / 3:
        assert {"train", "evaluation", "calibration"} <= {splits[name] for name in divided}


def test_shares_are_of_rows_and_not_of_files() -> None:
    rows = {f"file {number}": 1 + number % 7 for number in range(200)}
    splits = divide(rows, {}, SHARES)
    held_out = sum(count for name, count in rows.items() if splits[name] == "evaluation")
    assert 0.14 < held_out / sum(rows.values()) < 0.17


def test_most_of_all_rows_are_never_held_out() -> None:
    for name in "abcdefgh":
        splits = divide({name: 90, "x": 5, "y": 5}, {}, SHARES)
        assert splits[name] == "train"


def test_a_name_that_was_given_up_and_taken_again_is_still_one_file() -> None:
    names = FileNames()
    names.rename("second", "third")  # newest first
    names.rename("first", "second")
    names.rename("third", "first")
    assert len({names.last(name) for name in ("first", "second", "third")}) == 1
