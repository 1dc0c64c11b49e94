"""What does not fit loses the middle of its prompt, and nothing else."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_model.packing import Sequence
from reward_model.text.chat import NO_INPUTS, Conversation, Message, TemplateInputs
from reward_model.text.encoding import Encoder, TokenSpans, TooLong
from reward_model.text.tokenizing import Stopped
from reward_model.text.truncation import Truncator
from tests.checkpoints import SPECIALS, make_tokenizer

TOKENIZER = make_tokenizer()
ENCODER = Encoder(TOKENIZER, max_tokens=48, pad_id=None)
LONG = Encoder(TOKENIZER, max_tokens=1_000_000, pad_id=None)

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


def test_many_long_turns_are_cut_in_one_pass_and_shared_by_candidates() -> None:
    class CountingEncoder(Encoder):
        encoded = spanned = 0

        def encode(
            self,
            conversation: Conversation,
            step_ends: tuple[int, ...] = (),
            inputs: TemplateInputs = NO_INPUTS,
        ) -> Sequence:
            self.encoded += 1
            return super().encode(conversation, step_ends, inputs)

        def token_spans(self, content: str, stop: Callable[[], bool] = lambda: False) -> TokenSpans:
            self.spanned += 1
            return super().token_spans(content, stop)

    encoder = CountingEncoder(TOKENIZER, max_tokens=2000, pad_id=None)
    prompt = tuple(Message("user", f"{turn} " + "ab " * 133) for turn in range(300))
    truncator = Truncator(encoder)
    for candidate in ("a", "b", "c"):
        sequence, _, dropped = truncator.encode((*prompt, Message("assistant", candidate)))
        assert 1900 < len(sequence.ids) <= 2000
        assert dropped > 30_000
    # Each turn once, whatever the number of candidates, and a few rounds for each of these.
    assert encoder.spanned <= len(prompt) + 3
    assert encoder.encoded <= 3 * 6


def test_a_long_turn_is_cut_as_it_would_be_in_one_go() -> None:
    prompt = "first " + "one two three four " * 12_000 + "last"
    talk = (Message("user", prompt), Message("assistant", "a"))
    sequence, (user, _), dropped = Truncator(ENCODER).encode(talk)
    assert (user.content[:5], user.content[-4:]) == ("first", "last")
    assert ENCODER.max_tokens - 3 <= len(sequence.ids) <= ENCODER.max_tokens
    assert abs(dropped + len(sequence.ids) - count(talk)) < 20


def test_truncation_ends_when_nobody_wants_it() -> None:
    asked = itertools.count()
    with pytest.raises(Stopped):
        Truncator(ENCODER, lambda: next(asked) > 2).encode(
            (Message("user", "word " * 200_000), Message("assistant", "a"))
        )
    assert next(asked) == 4
