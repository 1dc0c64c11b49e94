"""Templates render as transformers renders them, but with one date, without chance."""

from datetime import date

import pytest
from pydantic import JsonValue
from transformers.utils.chat_template_utils import _compile_jinja_template

from reward_model.text.chat import Message, TemplateInputs, render
from reward_model.text.template import Unencodable, date_seen, environment_of, render_template
from tests.checkpoints import TEMPLATE, make_tokenizer

LLAMA = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Nov 2023" %}
    {%- endif %}
{%- endif %}
{{- "Today Date: " + date_string + "\n\n" }}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {% generation %}{{- message['content'] | trim }}{% endgeneration %}
    {%- else %}
        {{- '<|' ~ message['role'] ~ '|>\n' + message['content'] | trim + '<|end|>' }}
    {%- endif %}
{%- endfor %}"""
TEMPLATES = [
    TEMPLATE,
    "{% for m in messages %}{{ loop.index }}/{{ loop.length }}{% if loop.last %}!{% endif %}"
    "{{ m.content.split(' ')[-1] }}{% if loop.index > 1 %}{% break %}{% endif %}{% endfor %}",
    "{% set ns = namespace(n=0, t='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
    "{% set ns.t = ns.t ~ m.content[:2] ~ loop.cycle('a', 'b') %}{% endfor %}{{ ns.n }}{{ ns.t }}",
    "{% macro turn(m, deep=false) %}[{{ m.role | upper }}{% if deep %}{{ caller() }}{% endif %}]"
    "{% endmacro %}{{ turn(messages[0]) }}{% call turn(messages[1], true) %}in{% endcall %}",
    "{{ tools | tojson(indent=2) }}{{ messages | map(attribute='content') | join(', ') }}"
    "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ none_such }}",
    "{{ messages[::-1][0].content }}{{ '%s-%02d' | format('a', 3) }}{{ '{:>4}'.format('x') }}"
    "{{ 2 ** 10 * 3 % 7 }}{{ 'ab' * 3 }}{{ [1, 2] + [3] }}{{ ('a', 1) }}{{ {'k': [1]} }}",
    "{% if 'Add' in messages[0].content %}{{ dict(a=1) }}{% endif %}{{ documents }}{{ 1.5 }}"
    "{{ messages[0].content | replace('d', 'DD') | center(20) | indent(3) }}{{ true }}",
    "{% for key, value in messages[0].items() | sort %}{{ key }}={{ value }};{% endfor %}"
    "{% filter upper %}{{ messages[1].content }}{% endfilter %}{{ bos_token }}",
    "{% for m in messages %}{{ m.reasoning_content }}{{ m.thinking }}{{ m.tool_calls }}"
    "{% endfor %}",
]
TURNS: list[dict[str, JsonValue]] = [
    {"role": "user", "content": "Add them, now."},
    {"role": "assistant", "content": " a + b ", "reasoning": "why", "tool_calls": None},
]
TALK = (
    Message("user", "Add them, now."),
    Message("assistant", " a + b ", '{"reasoning": "why", "tool_calls": null}'),
)


@pytest.mark.parametrize("source", TEMPLATES)
def test_a_template_is_rendered_as_transformers_renders_it(source: str) -> None:
    tokenizer = make_tokenizer(template=source)
    tools: list[dict[str, JsonValue]] = [{"name": "add", "of": ["a", "b"]}]
    expected = tokenizer.apply_chat_template(
        TURNS,  # type: ignore[arg-type]  # declared for texts alone
        tools=tools,  # type: ignore[arg-type]
        tokenize=False,
    )
    inputs = TemplateInputs(tools='[{"name": "add", "of": ["a", "b"]}]')
    assert render(tokenizer, TALK, inputs) == expected


def test_a_template_finds_all_that_it_finds_in_transformers() -> None:
    """Names of filters, tests, globals and tags; a release of transformers may add to them."""
    theirs, ours = _compile_jinja_template("").environment, environment_of(date.min)
    assert isinstance(ours, type(theirs))
    for names in ("filters", "tests", "globals"):
        assert getattr(ours, names).keys() == getattr(theirs, names).keys()
    tags = [
        {tag for each in env.extensions.values() for tag in each.tags} for env in (ours, theirs)
    ]
    assert tags[0] == tags[1]
    for option in ("trim_blocks", "lstrip_blocks", "keep_trailing_newline", "autoescape"):
        assert getattr(ours, option) == getattr(theirs, option)


def test_a_template_sees_one_date() -> None:
    tokenizer = make_tokenizer(template=LLAMA)
    assert date_seen(LLAMA) == date(2023, 11, 26)
    assert "Today Date: 26 Nov 2023\n" in render(tokenizer, TALK)
    day = date(2025, 3, 1)
    assert date_seen(LLAMA, day) == day
    assert "Today Date: 01 Mar 2025\n" in render(tokenizer, TALK, day=day)
    # It is what transformers renders without a clock.
    source = LLAMA.replace("strftime_now is defined", "false")
    without = make_tokenizer(template=source)
    assert render(tokenizer, TALK) == without.apply_chat_template(TURNS, tokenize=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "day"),
    [
        ("{{ strftime_now('%Y-%m-%d') }}", date(2024, 7, 26)),
        (
            "{% if x %}{{ strftime_now('%B %d, %Y') }}{% else %}June 05, 2025{% endif %}",
            date(2025, 6, 5),
        ),
        ("{% set now = strftime_now %}{{ now('%H:%M') }}", date(2024, 7, 26)),
        ("no date at all: {{ messages[0].content }}", None),
    ],
)
def test_a_date_is_found_where_a_template_names_one(source: str, day: date | None) -> None:
    assert date_seen(source) == day
    shown = render_template(source, {"messages": [{"content": "x"}]})
    assert shown == render_template(source, {"messages": [{"content": "x"}]}, day)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ['a', 'b'] | random }}",
        "{{ messages | map('random') | list }}",
        "{{ lipsum(n=1) }}",
        "{{ ['a', 'b'] | map('upper') }}",  # writes the address of a generator
        "{{ messages.copy }}",
    ],
)
def test_a_template_that_draws_at_random_is_refused(source: str) -> None:
    with pytest.raises(Unencodable, match=r"random|another one every time"):
        render_template(source, {"messages": [1, 2]})


def test_a_fault_of_a_template_quotes_no_text() -> None:
    with pytest.raises(Unencodable, match=r"fails on this conversation: \w+$"):
        render_template("{{ 1 + messages[0] }}", {"messages": ["secret"]})
    with pytest.raises(Unencodable, match=r"fails on this conversation: \w+$"):
        render_template("{{ messages[0].index('x') }}", {"messages": ["secret"]})
