"""The reference answer is a column, or the last box of the solution."""

from trainer.feedback.readers.competition_math import CompetitionMath


def test_the_answer_is_the_last_box_or_a_column() -> None:
    row: dict[str, object] = {"problem": "p", "solution": r"so \boxed{1}, or \boxed{\frac{1}{2}}."}
    assert CompetitionMath().read(row).gold == r"\frac{1}{2}"
    assert CompetitionMath().read(row | {"answer": "0.5"}).gold == "0.5"
    assert CompetitionMath().read({"problem": "p"}).gold == ""
