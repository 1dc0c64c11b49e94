import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pipeline.stage import StageError
from trainer.synthesis.templates import ANSWER, DESCRIBE, render, require_placeholder


@given(st.text())
def test_what_is_filled_in_stays_as_it_is(code: str) -> None:
    assert code in render(DESCRIBE, code=code, language="python")
    assert render(ANSWER, request=code, language="go").startswith(code)


def test_braces_written_twice_are_braces() -> None:
    assert render("{{x}} {code}", code="{y}") == "{x} {y}"


@pytest.mark.parametrize("template", ["{name}", "{", "{0}", "{code!x}"])
def test_a_template_that_names_something_else_is_refused(template: str) -> None:
    with pytest.raises(StageError, match=r"a template may name \{code\}, \{language\}"):
        render(template, code="x", language="python")


def test_a_template_must_show_what_it_is_about() -> None:
    require_placeholder(DESCRIBE, "code")
    with pytest.raises(StageError, match=r"has no \{request\}: 'Write code"):
        require_placeholder("Write code.", "request")
