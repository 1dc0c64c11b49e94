import pytest

from reward_model.text.chat import Message, Unencodable, render
from reward_model.text.criteria import require_system_turns, with_criterion
from tests.checkpoints import make_tokenizer

TALK = (Message("user", "Add them."), Message("assistant", "a + b"))
PROMPT = "Judge whether the answer is correct."


def test_a_criterion_is_a_system_turn_in_front() -> None:
    assert with_criterion(TALK, PROMPT) == (Message("system", PROMPT), *TALK)
    # An answer to nothing is a conversation, too.
    assert with_criterion(TALK[1:], PROMPT) == (Message("system", PROMPT), TALK[1])


def test_a_system_turn_that_is_there_follows_the_prompt_after_an_empty_line() -> None:
    told = (Message("system", "Be brief.", '{"name": "x"}'), *TALK)
    merged = Message("system", f"{PROMPT}\n\nBe brief.", '{"name": "x"}')
    assert with_criterion(told, PROMPT) == (merged, *TALK)


@pytest.mark.parametrize("extra", ["", '{"content": null}'])
def test_a_system_turn_without_content_becomes_the_prompt(extra: str) -> None:
    (first, *_) = with_criterion((Message("system", "", extra), *TALK), PROMPT)
    assert first.turn() == {"role": "system", "content": PROMPT}


def test_a_template_that_shows_system_turns_will_do() -> None:
    tokenizer = make_tokenizer()
    require_system_turns(tokenizer)
    assert PROMPT in render(tokenizer, with_criterion(TALK, PROMPT))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (
            "{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}"
            "{% endfor %}",
            "leaves system turns out",
        ),
        (
            "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}"
            "{% endif %}{{ messages[0].content }}",
            r"refuses system turns \(.*no system role\)",
        ),
    ],
)
def test_a_template_without_system_turns_is_refused(template: str, reason: str) -> None:
    with pytest.raises(Unencodable, match=f"its chat template {reason}.*without criteria"):
        require_system_turns(make_tokenizer(template=template))
