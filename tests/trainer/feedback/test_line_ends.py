import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checkpoints import make_tokenizer
from trainer.feedback.line_ends import cut_at, line_ends, token_ends

TOKENIZER = make_tokenizer().backend_tokenizer
TEXTS = st.text(st.sampled_from("ab :(\n\t\r é世😀"), max_size=60)


@given(TEXTS)
def test_every_line_with_text_but_the_last_has_an_end(text: str) -> None:
    lines = [line for line in text.split("\n") if line.strip()]
    ends = line_ends(text)
    assert len(ends) == max(len(lines) - 1, 0)
    for number, end in enumerate(ends, 1):
        before = [line for line in text[: end.first].split("\n") if line.strip()]
        assert [line.rstrip() for line in before] == [line.rstrip() for line in lines[:number]]
        assert not text[end.first : end.last].strip()
        assert text[end.last - 1] == "\n"


@given(TEXTS)
def test_the_first_tokens_decode_to_the_text_up_to_their_end(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False).ids
    ends = token_ends(TOKENIZER, ids, text)
    assert ends == sorted(ends)
    for number, end in enumerate(ends, 1):
        # A token may end within a character, which then decodes to a replacement character.
        assert TOKENIZER.decode(ids[:number]).rstrip("\ufffd") == text[:end]


def test_a_text_that_was_cut_at_a_stop_string_has_the_ends_of_its_tokens() -> None:
    ids = TOKENIZER.encode("a = 1\nb = 2###", add_special_tokens=False).ids
    assert token_ends(TOKENIZER, ids, "a = 1\nb = 2")


def test_ids_of_another_text_have_no_ends() -> None:
    ids = TOKENIZER.encode("a = 1", add_special_tokens=False).ids
    assert token_ends(TOKENIZER, ids, "a = 2") == []


@pytest.mark.parametrize(
    ("boundaries", "tokens"),
    [
        ([3, 6, 9], 2),  # a boundary after the newline
        ([3, 5, 9], 2),  # one before it, because the newline begins the next token
        ([3, 5, 6, 9], 3),  # both: the later one
        ([3, 9], 1),  # none at the line end: the nearest one before
        ([3, 6, 6, 9], 3),  # a token that ends within a character belongs to what is before it
        ([9], 0),
    ],
)
def test_a_cut_is_at_the_last_token_boundary_of_the_line_end(
    boundaries: list[int], tokens: int
) -> None:
    (end, *_) = line_ends("f(x):\n    y")
    assert (end.first, end.last) == (5, 6)
    assert cut_at(end, boundaries) == tokens
