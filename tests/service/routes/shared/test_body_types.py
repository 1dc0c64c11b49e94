"""Types that the bodies of several dialects share."""

import pytest
from pydantic import TypeAdapter, ValidationError

from reward_model.text.chat import Message
from service.routes.shared.body_types import (
    ChatTurns,
    Name,
    Text,
    TextOrTexts,
    Tolerant,
    conversation,
    is_list,
)


def test_turns_become_a_conversation_and_unknown_fields_are_ignored() -> None:
    turns = TypeAdapter(ChatTurns).validate_python(
        [{"role": "user", "content": "2 + 2", "name": "somebody"}]
    )
    assert conversation(turns) == (Message("user", "2 + 2"),)


@pytest.mark.parametrize("value", ["one", ["one"], ["one", "two"]])
def test_one_text_or_several_are_taken(value: object) -> None:
    assert TypeAdapter(TextOrTexts).validate_python(value) == value


@pytest.mark.parametrize("value", ["", [], [""], [1], 1, None])
def test_empty_texts_and_other_types_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(TextOrTexts).validate_python(value)


def test_the_tag_tells_lists_from_everything_else() -> None:
    values: tuple[object, ...] = ([], "text", 1)
    assert [is_list(value) for value in values] == ["<list>", "<text>", "<text>"]


def test_numbers_are_not_taken_for_texts() -> None:
    class Body(Tolerant):
        text: str

    with pytest.raises(ValidationError):
        Body.model_validate({"text": 1})


def test_half_a_surrogate_pair_is_a_text_and_no_name() -> None:
    half = "\ud83d"
    assert TypeAdapter(Text).validate_python(half) == half
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(half)
