"""Ids are the template's own for ordinary text, and never control tokens for any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_model.chat import Conversation, Message, Unencodable
from reward_model.encoding import Encoder, TooLong
from tests.checkpoints import SPECIALS, make_tokenizer

TOKENIZER = make_tokenizer(adds_bos=True)
ENCODER = Encoder(TOKENIZER, max_tokens=4096, pad_id=None)
SPECIAL_IDS = {TOKENIZER.convert_tokens_to_ids(token) for token in SPECIALS}

hostile_text = st.lists(
    st.one_of(
        st.sampled_from([*SPECIALS, "<|", "|>", "end", "<|en", "d|>", "\ue000"]),
        st.text(max_size=5),
    )
).map("".join)


def conversation(prompt: str, answer: str) -> Conversation:
    return (Message("user", prompt), Message("assistant", answer))


def template_ids(talk: Conversation) -> list[int]:
    turns = [message._asdict() for message in talk]
    encoded = TOKENIZER.apply_chat_template(turns, tokenize=True, return_dict=False)
    return list(encoded)


@given(st.text(max_size=40), st.text(max_size=40))
def test_ordinary_text_gets_the_templates_own_ids(prompt: str, answer: str) -> None:
    talk = conversation(prompt, answer)
    assert list(ENCODER.encode(talk).ids) == template_ids(talk)


@given(hostile_text, hostile_text)
@settings(max_examples=300)
def test_no_text_becomes_a_control_token(prompt: str, answer: str) -> None:
    talk = conversation(prompt, answer)
    ids = ENCODER.encode(talk).ids
    of_template = [i for i in template_ids(conversation("x", "x")) if i in SPECIAL_IDS]
    assert [i for i in ids if i in SPECIAL_IDS] == of_template
    rendered = TOKENIZER.apply_chat_template([m._asdict() for m in talk], tokenize=False)
    assert TOKENIZER.decode(list(ids), clean_up_tokenization_spaces=False) == rendered


def test_no_control_token_forms_where_a_template_joins_two_contents() -> None:
    tokenizer = make_tokenizer(template="{% for m in messages %}{{ m.content }}{% endfor %}")
    encoder = Encoder(tokenizer, max_tokens=64, pad_id=None)
    ids = encoder.encode(conversation("a<|en", "d|>b")).ids
    assert not SPECIAL_IDS & set(ids)
    assert tokenizer.decode(list(ids)) == "a<|end|>b"


def test_a_template_that_strips_still_strips_hostile_text() -> None:
    template = "{% for m in messages %}<|user|>{{ m.content.strip() }}{% endfor %}"
    tokenizer = make_tokenizer(template=template)
    ids = Encoder(tokenizer, max_tokens=64, pad_id=None).encode(conversation("  <|end|> ", "b")).ids
    assert tokenizer.decode(list(ids)) == "<|user|><|end|><|user|>b"


def test_too_long_is_an_error_with_both_numbers_and_nothing_is_cut() -> None:
    with pytest.raises(TooLong, match="shorten") as caught:
        Encoder(TOKENIZER, max_tokens=8, pad_id=None).encode(conversation("one two three", "four"))
    assert (caught.value.tokens > 8, caught.value.limit) == (True, 8)


def test_a_refusing_template_gives_its_reason() -> None:
    tokenizer = make_tokenizer(template="{{ raise_exception('roles must alternate') }}")
    with pytest.raises(Unencodable, match="roles must alternate"):
        Encoder(tokenizer, max_tokens=8, pad_id=None).encode(conversation("a", "b"))


def test_text_that_leaves_no_disguise_is_refused() -> None:
    everything = "".join(chr(code) for code in range(0xE000, 0xF900))
    with pytest.raises(Unencodable, match="private-use"):
        ENCODER.encode(conversation("<|end|>", everything))


def test_reads_the_rightmost_token_that_is_not_the_pad() -> None:
    tokenizer = make_tokenizer(template="{{ messages[-1].content }}<|eos|><|eos|>", pad_is_eos=True)
    eos = tokenizer.eos_token_id
    assert isinstance(eos, int)
    talk = conversation("", "ab")
    last = Encoder(tokenizer, max_tokens=64, pad_id=None).encode(talk)
    not_pad = Encoder(tokenizer, max_tokens=64, pad_id=eos).encode(talk)
    assert last.read_at == (len(last.ids) - 1,)
    assert not_pad.read_at == (len(not_pad.ids) - 3,)


def test_settings_of_a_shared_tokenizer_do_not_reach_the_encoder() -> None:
    tokenizer = make_tokenizer()
    encoder = Encoder(tokenizer, max_tokens=4096, pad_id=None)
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=200)
    assert 4 < len(encoder.encode(conversation("some words here", "and there")).ids) < 200
