import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from reward_model.text.special_tokens import (
    LiteralTokenizer,
    SpecialTokenEscaper,
    any_of,
    unknown_token,
    unused_characters,
)
from reward_model.text.template import Unencodable
from reward_model.text.tokenizing import tokenize
from tests.checkpoints import SPECIALS, make_tokenizer
from tests.tokenizers import FAMILIES

SPECIAL = any_of(SPECIALS)
hostile = st.lists(
    st.one_of(st.sampled_from([*SPECIALS, "<|", "|>", "\ue000", " \n"]), st.text(max_size=4))
).map("".join)


@given(hostile, hostile)
def test_escaped_texts_spell_no_special_token_whatever_is_left_out(one: str, other: str) -> None:
    escaper = SpecialTokenEscaper((one, other), SPECIALS)
    joined = escaper.escape(one) + escaper.escape(other)
    assert not set("".join(SPECIALS)) & set(joined)
    assert escaper.unescape(joined) == one + other
    assert len(joined) == len(one + other)


@given(hostile)
def test_white_space_at_either_edge_stays_there(content: str) -> None:
    escaper = SpecialTokenEscaper((content,), SPECIALS)
    assert escaper.unescape(escaper.escape(content).strip()) == content.strip()


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


def test_a_whole_word_matches_between_other_characters_alone() -> None:
    assert any_of(["end", "<a>"], ["end"]).findall("end bend <a>end") == ["end", "<a>", "end"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_literal_tokenizer_knows_the_templates_tokens_alone(family: str) -> None:
    tokenizer = FAMILIES[family]().backend_tokenizer
    literal, text = LiteralTokenizer(tokenizer), "<|user|> one <|end|> two <|end|>"
    everything = [match.span() for match in SPECIAL.finditer(text)]
    # With all of them it is the tokenizer.
    usual = tokenize(tokenizer, text, offsets=True)
    ids, encoding = literal.encode(text, everything, offsets=True)
    assert (ids, encoding.offsets) == (usual.ids, usual.offsets)
    # Without one of them, that one is letters.
    ids, _ = literal.encode(text, everything[:2])
    end = tokenizer.token_to_id("<|end|>")
    assert end is not None
    assert (usual.ids.count(end), ids.count(end)) == (2, 1)
    assert end not in literal.encode(text)[0]


def test_symbols_that_stand_for_special_tokens_are_refused() -> None:
    tokenizer: PreTrainedTokenizerFast = make_tokenizer()
    literal = LiteralTokenizer(tokenizer.backend_tokenizer)
    with pytest.raises(Unencodable, match="symbols"):
        literal.encode("\U0001fb00" * 3 + "\U0001fb3b" * 20)


@pytest.mark.parametrize(
    ("model", "token"),
    [
        (models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"), "[UNK]"),
        (models.Unigram([("<pad>", 0.0), ("<unk>", -1.0)], 1, False), "<unk>"),
        (models.BPE(), None),
    ],
)
def test_the_model_of_a_tokenizer_says_what_stands_for_unknown_letters(
    model: models.Model, token: str | None
) -> None:
    assert unknown_token(Tokenizer(model)) == token
