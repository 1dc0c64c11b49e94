"""Two answers, and a column that says which one is better."""

import pytest

from reward_model.text.chat import Message
from trainer.preferences.formats.compared import Compared
from trainer.tables.record import Record, Unusable


@pytest.mark.parametrize("winner", ["response_b", "b", "B", "model_b"])
def test_the_winner_is_a_column_or_the_end_of_its_name(winner: str) -> None:
    row: Record = {"prompt": "q", "response_a": "one", "response_b": "two", "winner": winner}
    found = Compared().rate(row)
    assert [(each.text, each.rating) for each in found.answers] == [("two", 1.0), ("one", 0.0)]


@pytest.mark.parametrize(
    ("columns", "winner", "better"),
    [
        (("response_0", "response_1"), 0, "one"),
        (("response_1", "response_2"), 2, "two"),
        (("response1", "response2"), "1", "one"),
        (("left", "right"), "right", "two"),
    ],
)
def test_numbered_columns_are_told_by_their_number(
    columns: tuple[str, str], winner: object, better: str
) -> None:
    row = {"prompt": "q", columns[0]: "one", columns[1]: "two", "winner": winner}
    found = Compared(first=columns[0], second=columns[1]).rate(row)
    assert found.answers[0].text == better


@pytest.mark.parametrize(
    ("winner", "reason"),
    [
        ("tie (bothbad)", "a tie"),
        ("model_c", "winner names neither"),
        (None, "winner names neither"),
        (1, "winner names neither"),
    ],
)
def test_a_tie_or_an_unknown_winner_is_left_out(winner: object, reason: str) -> None:
    row: Record = {"prompt": "q", "response_a": "one", "response_b": "two", "winner": winner}
    with pytest.raises(Unusable, match=reason):
        Compared().rate(row)


def test_whole_conversations_need_no_prompt() -> None:
    asked = {"role": "user", "content": "q"}
    row: Record = {
        "conversation_a": [asked, {"role": "assistant", "content": "one"}],
        "conversation_b": [asked, {"role": "assistant", "content": "two"}],
        "winner": "model_a",
    }
    found = Compared(first="conversation_a", second="conversation_b").rate(row)
    assert (found.prompt, found.answers[0].text) == ("q", "one")
    assert Message("user", "q").content == found.prompt
