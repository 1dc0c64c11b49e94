"""Ids are the template's own for ordinary text, and never control tokens for any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_model.text.chat import Conversation, Message, Unencodable
from reward_model.text.encoding import Encoder, Rendered, TooLong
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
    turns = [{"role": message.role, "content": message.content} for message in talk]
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
    rendered = TOKENIZER.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in talk], tokenize=False
    )
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


step_texts = st.one_of(st.text(min_size=1, max_size=8), hostile_text).filter(str.strip)


@given(st.lists(step_texts, min_size=1, max_size=4), st.text(max_size=20))
def test_a_step_is_read_at_the_token_that_holds_its_last_character(
    steps: list[str], prompt: str
) -> None:
    answer, ends = "", list[int]()
    for step in steps:
        answer += step
        ends.append(len(answer.rstrip()))
    sequence = ENCODER.encode(conversation(prompt, answer), tuple(ends))
    plain = ENCODER.encode(conversation(prompt, answer))
    *reads, score = sequence.read_at
    assert (sequence.ids, score) == (plain.ids, plain.read_at[0])
    before = TOKENIZER.apply_chat_template(
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": "\ue001"}],
        tokenize=False,
    )
    assert isinstance(before, str)
    lead = before[: before.index("\ue001")]
    for end, read in zip(ends, reads, strict=True):
        text = lead + answer[:end]
        decoded, shorter = (
            str(TOKENIZER.decode(list(sequence.ids[:stop]))) for stop in (read + 1, read)
        )
        assert decoded.startswith(text)
        assert not shorter.startswith(text)


def test_steps_of_a_text_that_the_template_changes_are_not_guessed() -> None:
    tokenizer = make_tokenizer(
        template="{% for m in messages %}<|user|>{{ m.content | upper }}{% endfor %}"
    )
    with pytest.raises(Unencodable, match="steps"):
        Encoder(tokenizer, max_tokens=64, pad_id=None).encode(conversation("p", "abc"), (2,))


def test_special_tokens_of_a_rendered_text_are_tokens() -> None:
    (special, *_), text = SPECIALS, "a text"
    ids = ENCODER.encode_rendered(Rendered(special + text)).ids
    assert ids[0] == TOKENIZER.convert_tokens_to_ids(special)
    assert ENCODER.encode_rendered(Rendered(special + text, last=2)).ids == ids[-2:]
    expected = TOKENIZER(text).input_ids
    assert list(ENCODER.encode_rendered(Rendered(text, add_special_tokens=True)).ids) == expected


def test_ids_that_no_token_has_are_refused() -> None:
    assert ENCODER.checked([3, 4]).read_at == (1,)
    for ids in ([-1], [3, len(TOKENIZER)]):
        with pytest.raises(Unencodable, match="token ids"):
            ENCODER.checked(ids)
