import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pipeline.sameness import text_key, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2+2", "2 + 2"),
        ("What is 2 + 2?", "what is\n2+2"),
        ("Sort a list.", "sort a list"),
        ("Sort the list, then print it!", "Sort the list then print it"),
        ("a well-known number", "a well known number"),
        ("compute $a+b$", "compute a + b"),
        ("the `set` type", 'the "set" type'),
        ("don\N{RIGHT SINGLE QUOTATION MARK}t stop", "don't stop"),
        ("Name \N{FULLWIDTH LATIN SMALL LETTER A} prime", "name a prime"),
        ("STRASSE", "straße"),
    ],
)
def test_spelling_makes_no_other_text(one: str, other: str) -> None:
    assert text_key(one) == text_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a < b", "a > b"),
        ("a <= b", "a < b"),
        ("a + b", "a - b"),
        ("5 - 3", "5 3"),
        ("x = -1", "x = 1"),
        ("2 * (a + b)", "2 * a + b"),
        ("name a prime", "name a prim e"),
        ("3.5", "35"),
        ("is C fast", "is C# fast"),
        ("?", "!"),
    ],
)
def test_a_symbol_or_letter_that_changes_the_meaning_makes_another_text(
    one: str, other: str
) -> None:
    assert text_key(one) != text_key(other)


@given(st.text())
def test_white_space_and_case_never_matter(text: str) -> None:
    spaced = text_key(f"\n {text}\t")
    assert spaced == text_key(text)
    assert text_key(text_key(text)) == text_key(text)


def test_words_are_in_one_spelling_and_without_symbols() -> None:
    assert words("Def Add_two(a, B): return a+B") == [
        "def",
        "add_two",
        "a",
        "b",
        "return",
        "a",
        "b",
    ]
