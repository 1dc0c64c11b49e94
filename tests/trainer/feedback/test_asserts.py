"""Plain asserts become a call and a comparison; all others are left to the replay."""

import pytest

from trainer.feedback.asserts import PlainAssert, plain_assert


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("assert f(1, [2]) == 3, 'x'", PlainAssert("(1, [2])", "{}", "3", "equal")),
        ("assert {1: 2} == f()", PlainAssert("()", "{}", "{1: 2}", "equal")),
        ("assert f(*a, k=1, **b) == x", PlainAssert("(*a,)", "{'k': 1, **b}", "x", "equal")),
        ("assert (f(1)) is None", PlainAssert("(1,)", "{}", "None", "identical")),
        ("assert f(1) == True", PlainAssert("(1,)", "{}", "True", "equal")),
        ("assert f(1)", PlainAssert("(1,)", "{}", "True", "truth")),
        ("assert not f(1)", PlainAssert("(1,)", "{}", "False", "truth")),
    ],
)
def test_plain_asserts(code: str, expected: PlainAssert) -> None:
    assert plain_assert(code, "f") == expected


@pytest.mark.parametrize(
    "code",
    [
        "assert f(f(1)) == 2",
        "assert f(1) == f(2)",
        "assert set(f(1)) == {1}",
        "assert abs(f(1) - 2) < 1e-6",
        "assert f(1) != 2",
        "assert f(1) == 2 == x",
        "assert f(1) is x",
        "assert g(1) == 2",
        "assert f.g(1) == 2",
        "x = 1\nassert f(x) == 2",
        "f(1)",
        "assert (",
        "assert " + "(" * 5000,
    ],
)
def test_other_statements(code: str) -> None:
    assert plain_assert(code, "f") is None
