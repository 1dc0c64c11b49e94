"""What does not fit loses the middle of its prompt, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_model.text.chat import Conversation, Message
from reward_model.text.encoding import Encoder, TooLong
from reward_model.text.truncation import Truncator
from tests.checkpoints import SPECIALS, make_tokenizer

TOKENIZER = make_tokenizer()
ENCODER = Encoder(TOKENIZER, max_tokens=48, pad_id=None)
LONG = Encoder(TOKENIZER, max_tokens=100_000, pad_id=None)

words = st.sampled_from(["a", "add", "two numbers", "\u00e9", "\U0001f600", "\n", *SPECIALS])
texts = st.lists(words, max_size=60).map(" ".join)


def count(talk: Conversation) -> int:
    return len(LONG.encode(talk).ids)


@given(st.lists(texts, min_size=1, max_size=3), st.lists(words, max_size=8).map(" ".join))
@settings(max_examples=200)
def test_it_fits_afterwards_and_the_answer_is_whole(prompt: list[str], answer: str) -> None:
    roles = ("user", "assistant", "user")[-len(prompt) :]
    talk = (*map(Message, roles, prompt), Message("assistant", answer))
    try:
        sequence, cut, dropped = Truncator(ENCODER).encode(talk)
    except TooLong:
        empty: Conversation = (*(Message(role, "") for role in roles), talk[-1])
        assert count(empty) > 48
        return
    assert len(sequence.ids) == count(cut) == count(talk) - dropped <= 48
    assert cut[-1] == talk[-1]
    assert dropped > 0 or cut == talk
    for after, before in zip(cut, talk, strict=True):
        assert after.role == before.role
        assert len(after.content) <= len(before.content)


def test_a_prompt_keeps_its_beginning_and_its_end() -> None:
    prompt = "first " + "middle " * 40 + "last"
    talk = (Message("user", prompt), Message("assistant", "a"))
    sequence, (user, _), dropped = Truncator(ENCODER).encode(talk)
    assert user.content.startswith("first")
    assert user.content.endswith("last")
    assert ENCODER.max_tokens - 3 <= len(sequence.ids)
    assert dropped


def test_an_answer_that_leaves_no_room_is_too_long() -> None:
    with pytest.raises(TooLong) as caught:
        Truncator(ENCODER).encode((Message("user", "p"), Message("assistant", "a b " * 48)))
    assert caught.value.tokens > 48
