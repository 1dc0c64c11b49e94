"""Types that the bodies of several dialects share."""

import pytest
from pydantic import TypeAdapter, ValidationError

from reward_model.text.chat import Message
from service.routes.shared.body_types import (
    ChatTurns,
    Name,
    TextOrTexts,
    Tolerant,
    conversation,
    is_list,
)


def test_turns_become_a_conversation_with_all_that_the_template_may_read() -> None:
    turns = TypeAdapter(ChatTurns).validate_python(
        [{"role": "user", "content": "2 + 2", "name": "somebody", "audio": None}]
    )
    assert conversation(turns) == (Message("user", "2 + 2", '{"name": "somebody"}'),)


def test_a_turn_may_be_without_content() -> None:
    turns = TypeAdapter(ChatTurns).validate_python(
        [{"role": "user"}, {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]
    )
    extra = '{"tool_calls": [{"id": "1"}], "content": null}'
    assert conversation(turns) == (Message("user", ""), Message("assistant", "", extra))


@pytest.mark.parametrize("part", [1, None, {"type": "image_url", "image_url": {}}, {"text": 1}])
def test_parts_that_are_no_text_are_refused_by_their_place(part: object) -> None:
    with pytest.raises(ValidationError, match="has a part 1 that is no text"):
        TypeAdapter(ChatTurns).validate_python([{"role": "user", "content": ["a", part]}])


@pytest.mark.parametrize("value", ["one", "", ["one"], ["one", ""]])
def test_one_text_or_several_are_taken(value: object) -> None:
    assert TypeAdapter(TextOrTexts).validate_python(value) == value


@pytest.mark.parametrize("value", [[], [1], 1, None])
def test_empty_lists_and_other_types_are_refused(value: object) -> None:
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
    assert TypeAdapter(TextOrTexts).validate_python(half) == half
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(half)
