import pytest

from trainer.tables.record import Unusable, list_of, number_of, record_of, text_of, without_nulls

ROW: dict[str, object] = {"text": "a", "list": [1], "object": {"x": 1}, "flag": True, "none": None}


def test_fields_of_the_right_type_are_returned() -> None:
    assert text_of(ROW, "text") == "a"
    assert list_of(ROW, "list") == [1]
    assert record_of(ROW["object"], "it") == {"x": 1}


def test_other_fields_are_unusable_and_named_without_their_content() -> None:
    with pytest.raises(Unusable, match=r"^list is not text$"):
        text_of(ROW, "list")
    with pytest.raises(Unusable, match=r"^absent is not a list$"):
        list_of(ROW, "absent")
    with pytest.raises(Unusable, match=r"^a message is not an object$"):
        record_of(ROW["text"], "a message")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (2, 2.0),
        (" 0.5 ", 0.5),
        (True, None),
        ("high", None),
        ("nan", None),
        (float("inf"), None),
        (10**400, None),
        (None, None),
        ([1], None),
    ],
)
def test_a_number_may_be_written_as_text_and_must_be_finite(
    value: object, number: float | None
) -> None:
    assert number_of({"score": value}, "score") == number


def test_a_list_that_was_written_as_text_is_to_be_parsed() -> None:
    with pytest.raises(Unusable, match=r"^list is a list that was written as text: parse it first"):
        list_of({"list": "[1, 2]"}, "list")


def test_nulls_of_nested_objects_go_and_those_of_columns_and_lists_stay() -> None:
    row: dict[str, object] = {"none": None, "list": [None, {"a": 1, "b": None, "c": {"d": None}}]}
    assert without_nulls(row) == {"none": None, "list": [None, {"a": 1, "c": {}}]}
