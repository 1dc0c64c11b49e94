import ast
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.feedback.made import function
from trainer.feedback.answer_forms import AnswerForm, body_of, head_of, in_a_form
from trainer.feedback.problem import AssertTest
from trainer.pairs.row import PreferenceRow, Rejected

PROBLEM = replace(
    function("Double"),
    statement='Double a number, as in """2 -> 4""".',
    signature="def f(x):",
    tests=(AssertTest("assert f(1) == 2"), AssertTest("assert f(2) == 4")),
)
RIGHT, WRONG = "def f(x):\n    return 2 * x", "def f(x):\n    # squares\n    return x * x"


def row(chosen: str, *rejected: str, identity: str = "1") -> PreferenceRow:
    losers = tuple(Rejected("wrong", text) for text in rejected)
    return PreferenceRow(identity, "g", "Please write f.", chosen, losers)


def fenced(code: str) -> str:
    return f"Here it is:\n\n```python\n{code}\n```\nIt works."


def test_a_completion_continues_the_head_that_is_its_prompt() -> None:
    asked = row(fenced(RIGHT), fenced(WRONG))
    found, form = in_a_form(asked, ("completion",), PROBLEM, seed=1)
    assert form == "completion"
    assert [found.chosen, found.rejected[0].text] == [
        "    return 2 * x",
        "    return x * x",
    ]
    for body in (found.chosen, found.rejected[0].text):
        assert isinstance(found.prompt, str)
        (made,) = ast.parse(found.prompt + body).body
        assert "Double a number" in (ast.get_docstring(made) or "")  # type: ignore[arg-type]


def test_a_program_stands_beside_the_text_of_its_problem() -> None:
    found, form = in_a_form(row(fenced(RIGHT), fenced(WRONG)), ("program",), PROBLEM, seed=1)
    assert form == "program"
    assert (found.chosen, found.rejected[0].text) == (RIGHT, WRONG)
    assert str(found.prompt).startswith(PROBLEM.statement)


@pytest.mark.parametrize(
    "chosen",
    [
        "import math\n\n" + RIGHT,
        "def g(x):\n    return x\n\n" + RIGHT,
    ],
)
def test_a_program_that_is_more_than_its_function_completes_no_head(chosen: str) -> None:
    found, form = in_a_form(row(fenced(chosen), fenced(WRONG)), ("completion",), PROBLEM, seed=1)
    assert (found.chosen, form) == (chosen, "program")


def test_answers_without_the_form_are_left_out_and_the_last_one_keeps_the_row_as_it_is() -> None:
    broken = fenced("def f(x):\n    return (")
    found, _ = in_a_form(row(fenced(RIGHT), broken, fenced(WRONG)), ("completion",), PROBLEM, 1)
    assert [each.text for each in found.rejected] == ["    return x * x"]
    alike = row(fenced(RIGHT), "Sure! " + fenced(RIGHT))
    assert in_a_form(alike, ("completion", "program"), PROBLEM, 1) == (alike, "answer")


def test_each_form_is_drawn_for_some_rows_and_always_the_same() -> None:
    rows = [row(fenced(RIGHT), fenced(WRONG), identity=str(number)) for number in range(40)]
    forms: tuple[AnswerForm, ...] = ("answer", "program", "completion")
    drawn = [in_a_form(each, forms, PROBLEM, seed=3) for each in rows]
    assert {form for _, form in drawn} == set(forms)
    assert drawn == [in_a_form(each, forms, PROBLEM, seed=3) for each in rows]
    assert [each.rejected[0].kind for each, _ in drawn] == ["wrong"] * 40


def test_a_problem_with_a_prefix_gives_it_as_the_head() -> None:
    head = 'def f(x):\n    """Double."""\n'
    assert head_of(replace(PROBLEM, prefix=head)) == head


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=40))
def test_a_head_holds_any_statement_as_its_docstring(statement: str) -> None:
    head = head_of(replace(PROBLEM, statement=statement))
    (made,) = ast.parse(head + "    pass").body
    assert isinstance(made, ast.FunctionDef)
    assert ast.get_docstring(made, clean=False) is not None


@pytest.mark.parametrize(
    ("program", "body"),
    [
        ('def f(x):\n    """Own."""\n    y = x\n    return y\n', "    y = x\n    return y"),
        ('def f(x):\n    """Own."""\n\n    # Same.\n    return x', "    # Same.\n    return x"),
        ('def f(x):\n    """Own."""; return x', "    return x"),
        ("def f(x): y = x; return y", "    y = x\n    return y"),
        ("def f(x):\n  if x:\n    x = 1\n  return x", "    if x:\n      x = 1\n    return x"),
        (
            "def f(x):\n    @a\n    def g(): ...\n    return g",
            "    @a\n    def g(): ...\n    return g",
        ),
        ("def f(x):\n    y = '''\nx'''\n    return y", "    y = '''\nx'''\n    return y"),
        ("def f(x):\n    y = '\x0c'\n    return y", "    y = '\x0c'\n    return y"),
        ('def f(x):\n    """Own."""', ""),
        ("def f(x):\n    return x\n\nf(1)", ""),
    ],
)
def test_a_body_continues_a_head_and_has_no_docstring_of_its_own(program: str, body: str) -> None:
    assert body_of(program, "f") == body
    if body:
        ast.parse(head_of(PROBLEM) + body)
