import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_model.text.chat import Unencodable
from reward_model.text.special_tokens import (
    SpecialTokenEscaper,
    any_of,
    split,
    unused_characters,
)
from tests.checkpoints import SPECIALS

SPECIAL = any_of(SPECIALS)
hostile = st.lists(
    st.one_of(st.sampled_from([*SPECIALS, "<|", "|>", "\ue000", " \n"]), st.text(max_size=4))
).map("".join)


@given(hostile, hostile)
def test_escaped_contents_spell_no_special_token_even_joined(one: str, other: str) -> None:
    escaper = SpecialTokenEscaper((one, other), SPECIALS)
    joined = "".join(escaper.escape(content, SPECIAL) for content in (one, other))
    assert not SPECIAL.search(joined)
    assert escaper.unescape(joined) == one + other


@given(hostile)
def test_white_space_at_either_edge_stays_there(content: str) -> None:
    escaper = SpecialTokenEscaper((content,), SPECIALS)
    stripped = escaper.escape(content, SPECIAL).strip()
    assert escaper.unescape(stripped) == content.strip()


def test_contents_that_use_up_the_private_characters_are_refused() -> None:
    everything = "".join(map(chr, range(0xE000, 0xF900)))
    with pytest.raises(Unencodable, match="private-use"):
        SpecialTokenEscaper((everything,), SPECIALS)


def test_unused_characters_are_in_no_content() -> None:
    unused = unused_characters(("\ue000a", "\ue002"))
    assert unused[:2] == ["\ue001", "\ue003"]


def test_the_longest_special_token_matches() -> None:
    assert any_of(["<a", "<a>", "<b"]).findall("<a><b<a") == ["<a>", "<b", "<a"]
    assert any_of([]).findall("<a>") == []


@given(hostile)
def test_a_split_text_is_the_text(text: str) -> None:
    pairs = list(split(SPECIAL, text))
    assert "".join(before + special for before, special in pairs) == text
    assert [special for _, special in pairs if special] == SPECIAL.findall(text)
    assert pairs[-1][1] == ""
