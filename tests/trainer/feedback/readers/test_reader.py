"""What all readers share."""

import ast

import pytest

from trainer.feedback.readers.reader import decoded, def_line_of, id_of, parsed
from trainer.tables.record import Unusable


def test_a_signature_is_the_def_line_without_decorators() -> None:
    module = ast.parse("@cached\ndef f(a, *, b: int = 1) -> list[int]:\n    return []\n")
    assert def_line_of(module, "f") == "def f(a, *, b: int=1) -> list[int]:"
    assert def_line_of(module, "g") == ""


def test_what_is_no_python_says_what_it_is() -> None:
    for source in ("def (", "x\0y", "(" * 10_000):
        with pytest.raises(Unusable, match="the code is no Python"):
            parsed(source, "the code")


def test_ids_are_texts_or_numbers() -> None:
    assert [id_of({"id": value}, "id") for value in (3, "x")] == ["3", "x"]
    for value in (None, True, 1.5, " "):
        with pytest.raises(Unusable):
            id_of({"id": value}, "id")


def test_lists_may_be_json_text() -> None:
    assert decoded("[1]", "tests") == decoded([1], "tests") == [1]
