from collections import Counter

import pytest

from tests.trainer.corpus.snippets import FUNCTION
from trainer.corpus.python import functions


def test_a_function_is_normalised_and_keeps_its_docstring_apart() -> None:
    (piece,) = list(functions(FUNCTION, Counter()) or [])
    assert piece.source.startswith("def clip(value, low, high):\n    if value < low:")
    assert piece.docstring == "Keep a value between two limits."
    assert (piece.name, piece.signature) == ("clip", "clip(value, low, high)")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def stub():\n    pass", "too small"),
        (FUNCTION.replace("clip", "__call__"), "dunder"),
        (FUNCTION.replace("clip", "test_clip"), "test"),
        (f"def deep(a):\n    return {'-' * 400}a", "nested too deep"),
    ],
)
def test_what_is_left_out_is_counted(source: str, reason: str) -> None:
    counts: Counter[str] = Counter()
    assert list(functions(source, counts) or []) == []
    assert counts == {reason: 1}


def test_methods_are_found() -> None:
    indented = FUNCTION.replace("\n", "\n    ")
    assert len(list(functions(f"class A:{indented}", Counter()) or [])) == 1


@pytest.mark.parametrize("source", ["def broken(:", "x = '\0'", "x = " + "(" * 500 + ")" * 500])
def test_a_file_that_does_not_parse_is_none(source: str) -> None:
    assert functions(source, Counter()) is None


def test_an_escape_sequence_that_python_frowns_upon_is_no_error() -> None:
    assert len(list(functions(FUNCTION.replace("value\n", "'\\d'\n"), Counter()) or [])) == 1
