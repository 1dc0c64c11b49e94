from reward_model.text.chat import Message
from trainer.pairs.group import group_of, request_key, trimmed

TURNS = (Message("system", "Be brief."), Message("user", "Name a prime."))


def test_a_problem_is_the_users_opening_whatever_comes_before_and_after() -> None:
    later = (*TURNS, Message("assistant", "Two."), Message("user", "Another?"))
    assert group_of(TURNS) == group_of(later) == group_of("Name a prime.") != group_of("Another?")


def test_spelling_makes_no_new_problem_and_symbols_do() -> None:
    assert group_of("Is 2+2 four?") == group_of("is 2 + 2  four") != group_of("is 2 - 2 four")


def test_a_request_is_the_same_as_one_text_and_in_turns() -> None:
    assert request_key(TURNS) == request_key("Be brief. Name a prime")
    assert request_key(TURNS) != request_key("Name a prime")


def test_only_white_space_at_the_end_of_lines_and_of_the_text_is_left_out() -> None:
    assert trimmed("a \r\n  b\t\n\n") == "a\n  b"
    assert trimmed("  a\n\nb") == "  a\n\nb"
