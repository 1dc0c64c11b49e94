import pytest

from reward_model.text.chat import Message, Unencodable, render, render_request
from tests.checkpoints import make_tokenizer

TALK = (Message("user", "Add them."), Message("assistant", "a + b"))


def test_a_conversation_is_rendered_by_the_tokenizers_own_template() -> None:
    template = "{% for m in messages %}[{{ m.role }}: {{ m.content }}]{% endfor %}"
    tokenizer = make_tokenizer(template=template)
    assert render(tokenizer, TALK) == "[user: Add them.][assistant: a + b]"


def test_only_a_request_has_a_generation_prompt() -> None:
    template = "{{ messages[-1].content }}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    tokenizer = make_tokenizer(template=template)
    assert render(tokenizer, TALK[:1]) == "Add them."
    assert render_request(tokenizer, TALK[:1]) == "Add them.<|assistant|>"


@pytest.mark.parametrize("template", ["{{ raise_exception('only one turn') }}", "{% if %}"])
def test_a_template_that_refuses_gives_its_reason(template: str) -> None:
    tokenizer = make_tokenizer(template=template)
    for rendering in (render, render_request):
        with pytest.raises(Unencodable, match="the chat template refuses this conversation: "):
            rendering(tokenizer, TALK)
