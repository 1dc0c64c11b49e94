import pytest

from trainer.evaluation.measures.answers import TextJudge, agreeing, marked
from trainer.evaluation.measures.votes import NO_ANSWER


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so \\boxed{18} eggs", "18"),
        ("\\boxed{1} then \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("She makes $18.\n#### 18", "18"),
        ("9 * 2 = 18\nA: 18 ", "18"),
        ("A: 1\nA: 2", "2"),
        ("nothing here", None),
        ("\\boxed{}", None),
        ("an open \\boxed{\\frac{1}{2", None),
    ],
)
def test_the_last_mark_counts(text: str, answer: str | None) -> None:
    assert marked(text) == answer


def test_texts_agree_when_they_are_equal() -> None:
    assert agreeing([["a", "b", " a "], ["", "c"]], TextJudge()) == [(0, 1, 0), (NO_ANSWER, 0)]
