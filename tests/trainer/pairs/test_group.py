from reward_model.text.chat import Message
from trainer.pairs.group import group_of


def test_a_problem_is_what_a_user_opens_with_whatever_is_said_before_and_after() -> None:
    turns = (Message("system", "Be brief."), Message("user", "Name a prime."))
    later = (*turns, Message("assistant", "Two."), Message("user", "Another?"))
    assert group_of(turns) == group_of(later) == group_of("Name a prime.") != group_of("Another?")


def test_case_white_space_and_the_width_of_letters_make_no_new_problem() -> None:
    wide = "Name \N{FULLWIDTH LATIN SMALL LETTER A} prime."
    assert group_of(wide) == group_of("name  a PRIME.\n") != group_of("name a prim e.")
