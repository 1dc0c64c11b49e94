"""What the author of a template can ask for: it is refused, soon, and without the memory."""

import time
import tracemalloc

import pytest

from reward_model.text.template import Unencodable, render_template

DOUBLED = (
    "{{% set ns = namespace(a={start}) %}}{{% for i in range(60) %}}{{% set ns.a = {step} %}}"
    "{{% endfor %}}{{{{ ns.a }}}}"
)
GREEDY = [
    "{% set a = 9**messages|length %}{{ a**(9**9) }}",
    "{% set a = 'a'*1000000 %}{% set b = a*3000 %}{{ b|length }}",
    "{% set a = [1]*1000000 %}{% set b = a*3000 %}{{ b|length }}",
    *(
        DOUBLED.format(start="'a'", step=step)
        for step in (
            "ns.a ~ ns.a",
            "ns.a + ns.a",
            "[ns.a, ns.a] | join",
            "''.join([ns.a, ns.a])",
            "ns.a | replace('a', 'aa')",
            "ns.a.replace('a', 'aa')",
            "'%s%s' | format(ns.a, ns.a)",
            "'{0}{0}'.format(ns.a)",
            "'%s%s' % (ns.a, ns.a)",
            "ns.a.translate({97: 'aa'})",
            "[ns.a, ns.a]",
            "{'a': ns.a, 'b': ns.a} | string",
            "(ns.a, ns.a) | list",
        )
    ),
    DOUBLED.format(start="[1]", step="ns.a + ns.a"),
    DOUBLED.format(start="2", step="ns.a * ns.a"),
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '%.1000000000f' | format(1) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:{}}'.format(1, 1000000000) }}",
    "{{ 'a' | center(10**9) }}",
    "{{ 'a' | center(1000000000) }}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ 'a'.zfill(10**9) }}",
    "{{ '\t'.expandtabs(10**9) }}",
    "{{ (1).to_bytes(10**9, 'big') | length }}",
    "{{ 'a\nb' | indent(10**9) }}",
    "{{ [1] | batch(10**9, 'x') | list }}",
    "{{ ('a b ' * 100) | wordwrap(1, wrapstring='x' * 1000000) }}",
    "{{ range(10**9) | list }}",
    "{% for i in range(100000) %}{{ 'a' * 1000 }}{% endfor %}",
    "{% for i in range(100000) %}" + "y" * 10000 + "{% endfor %}",
    "{% set big = 'a' * 1000000 %}{% set ns = namespace(l=[]) %}{% for i in range(100000) %}"
    "{% set ns.l = ns.l + [big[i:]] %}{% endfor %}",
    "{{ 2.5 | round(10**9, 'floor') }}",
    "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "{% for m in messages recursive %}{{ loop([m, m]) }}{% endfor %}",
    "{{ range(100000) | list | tojson(separators=('x' * 10000, 'y')) }}",
    "{{ ('<!-- -->' * 100000) | striptags }}",
    "{{ range(100000) | map('string') | map('center', 100000) | list | length }}",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
]
ENDLESS = [
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "{% for a in range(100000) if range(100000) | sum < 0 %}{% endfor %}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
]


@pytest.mark.parametrize("source", GREEDY)
def test_a_greedy_template_is_refused(source: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Unencodable, match="the chat template"):
            render_template(source, {"messages": ["a", "b"]})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200 * 2**20


@pytest.mark.parametrize("source", ENDLESS)
def test_loops_without_an_end_in_sight_are_refused(source: str) -> None:
    begun = time.thread_time()
    with pytest.raises(Unencodable, match=r"computes for more|far longer"):
        render_template(source, {"messages": []})
    assert time.thread_time() - begun < 10


def test_a_long_conversation_may_be_rendered() -> None:
    """One that a template appends to one text turn by turn, which takes quadratic work."""
    source = (
        "{% set ns = namespace(t='') %}{% for m in messages %}"
        "{% set ns.t = ns.t + '<|' + m.role + '|>' + m.content + '<|end|>' %}{% endfor %}{{ ns.t }}"
    )
    short: list[object] = [{"role": "user", "content": "some words"}] * 1000
    long: list[object] = [{"role": "user", "content": "many words " * 10_000}] * 20
    assert len(render_template(source, {"messages": short})) == 1000 * 25  # type: ignore[dict-item]
    assert len(render_template(source, {"messages": long})) > 2_200_000  # type: ignore[dict-item]
