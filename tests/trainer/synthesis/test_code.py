import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.synthesis.code import code_of, is_fenced, looks_like_code, parses, similarity

ADD = "def add(a, b):\n    return a + b"


@pytest.mark.parametrize(
    "answer",
    [
        ADD,
        f"```python\n{ADD}\n```",
        f"Here you are:\n\n```py\n{ADD}\n```\nUse it so:\n```\nadd(1, 2)\n```\n",
        f"```\nadd(1, 2)\n```\nwith\n```python\n{ADD}\n```",
        f"```python\n{ADD}",
        f"1. A step:\n   ```python\n   {ADD.replace(chr(10), chr(10) + '   ')}\n   ```",
    ],
)
def test_code_is_taken_out_of_its_fence(answer: str) -> None:
    assert code_of(answer) == ADD


def test_an_empty_fence_holds_nothing() -> None:
    assert code_of("Sure!\n```python\n\n```\nDone.") == ""


def test_backticks_within_a_line_are_no_fence() -> None:
    assert not is_fenced("Use ```x``` or `y`.")
    assert code_of("s = '```'") == "s = '```'"


@given(
    st.text(alphabet=st.characters(exclude_characters="`\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"))
)
def test_a_fence_takes_nothing_away(text: str) -> None:
    fenced = code_of(f"```\nx{text}\nx\n```")
    assert fenced == f"x{text}\nx".strip("\n").rstrip()


@pytest.mark.parametrize(
    "source", [ADD, "x = 1", "print(1)", "import os", "'\\d' in x or f()\nf()"]
)
def test_python_parses(source: str) -> None:
    assert parses(source)


@pytest.mark.parametrize("source", ["", "Sorry", "'text'", "def f(:", "a b", "x = '\0'", "(" * 500])
def test_what_is_no_program_does_not_parse(source: str) -> None:
    assert not parses(source)


@given(st.text())
def test_any_text_has_an_answer(text: str) -> None:
    assert parses(text) in (True, False)
    assert looks_like_code(code_of(text)) in (True, False)


@pytest.mark.parametrize(
    "source",
    [
        ADD,
        'fn main() {\n    let x = 1;\n    println!("{x}");\n}',
        "export const f = (a) => {\n  return a;\n};",
        "func Add(a int) int {\n\treturn a\n}",
        "#include <stdio.h>\nint main(void) {\n  return 0;\n}",
    ],
)
def test_code_of_any_language_looks_like_code(source: str) -> None:
    assert looks_like_code(source)


@pytest.mark.parametrize(
    "text",
    ["", "This function adds two numbers.", "First it sorts the list.\nThen it returns the head."],
)
def test_prose_does_not(text: str) -> None:
    assert not looks_like_code(text)


def test_comments_and_layout_do_not_count() -> None:
    assert similarity(ADD, "def add(a,b):  # sums\n\n\treturn a+b") == 1.0
    assert similarity(ADD, "def add(a, b):\n    return a - b") < 1.0
    assert similarity(ADD, "class Queue:\n    size = 0") < 0.5
