import pytest

from reward_model.text.chat import Message
from trainer.preferences.formats.messages import messages_of, parted, request_of, turns_of
from trainer.tables.record import Unusable

QUESTION, ANSWER = Message("user", "Two?"), Message("assistant", "2")


def test_a_single_question_is_plain_text_and_several_turns_are_kept() -> None:
    assert request_of((QUESTION,)) == "Two?"
    several = (QUESTION, ANSWER, QUESTION)
    assert request_of(several) == several
    with pytest.raises(Unusable, match="no question"):
        request_of((QUESTION, ANSWER))
    with pytest.raises(Unusable, match="empty"):
        request_of((Message("user", " "),))


def test_a_prompt_may_be_text_or_messages() -> None:
    assert turns_of("Two?", "prompt") == (QUESTION,)
    assert turns_of([{"role": "user", "content": "Two?"}], "prompt") == (QUESTION,)
    nonsense: list[object] = [None, [], 3]
    for value in nonsense:
        with pytest.raises(Unusable, match="prompt is neither text nor messages"):
            messages_of(value, "prompt")


def test_two_conversations_part_at_their_last_answers() -> None:
    other = Message("assistant", "3")
    assert parted((QUESTION, ANSWER), (QUESTION, other)) == ("Two?", (ANSWER,), (other,))
    with pytest.raises(Unusable, match="differ before"):
        parted((QUESTION, ANSWER), (Message("user", "Three?"), other))
    with pytest.raises(Unusable, match="not the assistant's"):
        parted((QUESTION,), (QUESTION,))
