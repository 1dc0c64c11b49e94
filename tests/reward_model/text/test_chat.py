import pytest

from reward_model.text.chat import Message, TemplateInputs, Unencodable, mapped, render, texts
from tests.checkpoints import make_tokenizer

PROMPTING = TemplateInputs(add_generation_prompt=True)
TALK = (Message("user", "Add them."), Message("assistant", "a + b"))


def test_a_conversation_is_rendered_by_the_tokenizers_own_template() -> None:
    template = "{% for m in messages %}[{{ m.role }}: {{ m.content }}]{% endfor %}"
    tokenizer = make_tokenizer(template=template)
    assert render(tokenizer, TALK) == "[user: Add them.][assistant: a + b]"


def test_only_a_request_has_a_generation_prompt() -> None:
    template = "{{ messages[-1].content }}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    tokenizer = make_tokenizer(template=template)
    assert render(tokenizer, TALK[:1]) == "Add them."
    assert render(tokenizer, TALK[:1], PROMPTING) == "Add them.<|assistant|>"


@pytest.mark.parametrize("template", ["{{ raise_exception('only one turn') }}", "{% if %}"])
def test_a_template_that_refuses_gives_its_reason(template: str) -> None:
    tokenizer = make_tokenizer(template=template)
    for inputs in (TemplateInputs(), PROMPTING):
        with pytest.raises(Unencodable, match="the chat template refuses this conversation: "):
            render(tokenizer, TALK, inputs)


def test_a_template_sees_what_else_a_turn_has_and_tools_and_variables() -> None:
    template = (
        "{% for t in tools %}{{ t.name }} {% endfor %}{{ level }} {{ documents[0].title }} "
        "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.name }}"
        "{% endfor %};{% endfor %}"
    )
    calls = Message("assistant", "", '{"content": null, "tool_calls": [{"name": "add"}]}')
    inputs = TemplateInputs(
        tools='[{"name": "sub"}]', kwargs='{"level": 3, "documents": [{"title": "t"}]}'
    )
    tokenizer = make_tokenizer(template=template)
    assert render(tokenizer, (TALK[0], calls), inputs) == "sub 3 t Add them.;add;"


def test_arguments_of_the_renderer_are_no_variables_of_a_template() -> None:
    for name in ("tokenize", "chat_template", "messages"):
        with pytest.raises(Unencodable, match=f"{name} is no variable"):
            render(make_tokenizer(), TALK, TemplateInputs(kwargs=f'{{"{name}": ""}}'))


def test_every_text_of_a_user_is_changed_and_nothing_else() -> None:
    talk = (Message("user", "a", '{"name": "bb", "n": [1, "c"]}'),)
    inputs = TemplateInputs(tools='[{"d": null}]', kwargs='{"e": true}')
    changed, changed_inputs = mapped(talk, inputs, str.upper, str.title, str.upper)
    assert changed == (Message("user", "A", '{"NAME": "Bb", "N": [1, "C"]}'),)
    assert changed_inputs == TemplateInputs(tools='[{"D": null}]', kwargs='{"E": true}')
    assert texts(talk, inputs) == ["a", "name", "bb", "n", "c", "d", "e"]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        # In the manner of DeepSeek's.
        (
            "{% for m in messages %}{% if m['content'] is none %}[{{ m.tool_calls[0].name }}]"
            "{% else %}{{ m['content'] }}{% endif %}{% endfor %}",
            "Add them.[add]",
        ),
        (
            "{% for m in messages %}{{ m.content }}{{ m.tool_calls | length }}{% endfor %}",
            "Add them.01",
        ),
    ],
    ids=["asks for none", "writes what is there"],
)
def test_a_turn_without_content_is_none_to_templates_that_ask_and_nothing_to_others(
    template: str, expected: str
) -> None:
    call = Message("assistant", "", '{"content": null, "tool_calls": [{"name": "add"}]}')
    assert render(make_tokenizer(template=template), (TALK[0], call)) == expected
