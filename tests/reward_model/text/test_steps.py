import pytest

from reward_model.text.steps import join_steps


@pytest.mark.parametrize(
    ("candidate", "text", "ends"),
    [
        ("a", "a", (1,)),
        ("one\n two \n\nthree", "one\n two \n\nthree", (3, 8, 16)),
        ("\n\n", "\n\n", ()),
        ("", "", ()),
        (["one", "two"], "one\ntwo", (3, 7)),
        (["a\nb", " ", "c"], "a\nb\n \nc", (3, 7)),
    ],
)
def test_steps_end_with_their_last_visible_character(
    candidate: str | list[str], text: str, ends: tuple[int, ...]
) -> None:
    assert join_steps(candidate, "\n") == (text, ends)
