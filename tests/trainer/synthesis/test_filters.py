import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.synthesis.filters import AnswerLimits, unfit_code, unfit_description

LIMITS = AnswerLimits(max_characters=200)
BROKEN = "```python\ndef f(:\n    return (1\n```"


def code(
    text: str, end: str = "stop", *, chosen: bool = True, limits: AnswerLimits = LIMITS
) -> str | None:
    return unfit_code(text, end, limits, language="python", chosen=chosen)


@pytest.mark.parametrize(
    ("text", "end", "reason"),
    [
        ("x = f(1)", "stop", None),
        ("", "stop", "empty"),
        ("```python\n\n```", "stop", "empty"),
        ("I'm sorry, but I can't help with that.", "stop", "refusal"),
        ("As an AI, I cannot write this.", "stop", "refusal"),
        ("Unfortunately, I do not know that library.", "stop", "refusal"),
        ("x = f(1)", "length", "truncated"),
        ("x = 1\n" * 60, "stop", "over-long"),
        ("The function adds both and returns.", "stop", "non-code: does not parse"),
        (BROKEN, "stop", "non-code: does not parse"),
    ],
)
def test_an_answer_is_fit_or_has_a_reason(text: str, end: str, reason: str | None) -> None:
    assert code(text, end) == reason


def test_the_losing_side_may_be_broken_and_must_be_code() -> None:
    assert code(BROKEN, chosen=False) is None
    assert code("The function adds both and returns.", chosen=False) == "non-code"


@pytest.mark.parametrize(
    ("parses", "chosen", "fit"),
    [
        ("both", False, False),
        ("both", True, False),
        ("chosen", True, False),
        ("neither", True, True),
        ("neither", False, True),
    ],
)
def test_which_side_must_parse_is_a_choice(parses: str, chosen: bool, fit: bool) -> None:
    limits = AnswerLimits(parses=parses)  # type: ignore[arg-type]
    assert (code(BROKEN, chosen=chosen, limits=limits) is None) is fit


def test_other_languages_need_not_be_python() -> None:
    text = "```go\nfunc Add(a int) int {\n\treturn a\n}\n```"
    assert unfit_code(text, "stop", LIMITS, language="go", chosen=True) is None
    assert unfit_code("Just add.", "stop", LIMITS, language="go", chosen=True) == "non-code"


def test_cut_answers_may_be_kept() -> None:
    assert code("x = f(1)", "length", limits=AnswerLimits(keep_truncated=True)) is None


def test_code_that_begins_like_a_refusal_is_code() -> None:
    assert code("sorry_list = [1]") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Write a function that adds two numbers.", None),
        ("Add numbers", "too short"),
        ("  ", "empty"),
        ("Write this:\n```python\nx = 1\n```", "code in it"),
        ("I cannot describe this code.", "refusal"),
        ("word " * 60, "over-long"),
    ],
)
def test_a_description_is_fit_or_has_a_reason(text: str, reason: str | None) -> None:
    assert unfit_description(text, "stop", LIMITS) == reason


@given(st.text(), st.sampled_from(["stop", "length", ""]), st.booleans())
def test_the_verdict_depends_on_the_answer_alone(text: str, end: str, chosen: bool) -> None:
    assert code(text, end, chosen=chosen) == code(text, end, chosen=chosen)
