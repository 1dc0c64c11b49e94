"""Real math-verify in real processes, with input that never comes back."""

from collections.abc import Iterator
from fractions import Fraction

import pytest

from trainer.evaluation.measures.answers import agreeing
from trainer.evaluation.measures.math_judge import MathJudge, number
from trainer.evaluation.measures.votes import NO_ANSWER

TOWER = "\\dfrac{5^{\\left(5^{\\left(5^{\\left(5^5\\right)}\\right)} - 4\\right)} - 5}{16}"


@pytest.fixture(scope="module")
def judge() -> Iterator[MathJudge]:
    with MathJudge(timeout=20.0, processes=1) as found:
        yield found


def test_answers_that_are_written_otherwise_agree(judge: MathJudge) -> None:
    texts = ["so \\boxed{\\frac{1}{2}}", "#### 0.5", "A: 2", "which makes $\\frac{2}{4}$.", ""]
    assert agreeing([texts], judge) == [(0, 0, 1, 0, NO_ANSWER)]
    assert not judge.counts


def test_plain_numbers_are_compared_without_a_process(judge: MathJudge) -> None:
    found = judge.same([("\\$1,234", "1234.0"), ("18", "18."), ("12", "21")])
    assert list(found.values()) == [True, True, False]


def test_a_power_tower_is_killed_counted_and_equal_to_nothing() -> None:
    with MathJudge(timeout=2.0, processes=1) as judge:
        found = judge.same([(TOWER, "7"), ("\\frac{1}{2}", "0.5"), (TOWER, "8")])
        assert list(found.values()) == [False, True, False]
        assert judge.counts.total() == 2
        # Asked again, it is known: nothing waits a second time.
        assert judge.same([(TOWER, "7")]) == {(TOWER, "7"): False}
        assert judge.counts.total() == 2


def test_a_tower_in_prose_holds_no_answer() -> None:
    with MathJudge(timeout=2.0, processes=1) as judge:
        text = f"So the answer is ${TOWER}$"
        assert judge.extract([text, "#### 4"])["#### 4"] == "4"
        assert judge.same([(judge.extract([text])[text] or TOWER, "4")]).popitem()[1] is False


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("1,234.50", Fraction("1234.5")),
        ("\\$18", Fraction(18)),
        ("-3", Fraction(-3)),
        ("1,2", None),
        ("50\\%", None),
        ("x", None),
        ("", None),
    ],
)
def test_a_number_is_what_people_write(answer: str, value: Fraction | None) -> None:
    assert number(answer) == value
