import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.feedback.problems import ADD
from trainer.feedback.input_texts import NOT_PLAIN, FoundInputs, add_given, add_written
from trainer.feedback.problem import AssertTest, CallTest, Problem, StdioTest
from trainer.feedback.sandbox.types import Input

SORT = Problem("sort", "sort", "function", "Sort.", "sort_it", "def sort_it(values, key=None):")
INFINITE = "([float('inf'), float('inf'), float('inf')],)"
SCRIPT = Problem("p", "p", "script", "Print the sum.")


def written(text: str, problem: Problem = ADD) -> FoundInputs:
    found = FoundInputs()
    add_written(text, problem, found, max_characters=1000)
    return found


def arguments(text: str, problem: Problem = ADD) -> list[str]:
    return [each.arguments for each in written(text, problem).inputs]


@pytest.mark.parametrize(
    "text",
    [
        "```python\nadd(1, 2)\nadd(-3, 4)\n```",
        "```\nassert add(1, 2) == 3\nassert add(-3, 4) == 1  # negative\n```",
        "1. `add(1, 2)`\n2. `add(-3,4)` -> 1",
        "Sure! Here are two:\n\n- **Small**: add(1, 2)\n- **Negative**: add(-3, b=4)\n",
        "print(add(1, 2))  # 3\nresult = add(-3, 4)",
        "a = 1\nb = 2\nprint(add(a, b))\na = -3\nb = 4\nprint(add(a, b))",
        "```python\nSolution().add(\n    1,\n    2,\n)\nSolution().add(a=-3, b=4)\n```",
        "def add(a, b):\n    return a + b\n\nadd(1, 2)\nadd(-3, 4)",
        ">>> add(1, 2)\n3\n>>> add(-3, 4)\n1",
        "test_inputs = [\n    add(1, 2),\n    add(-3, 4),\n]",
        "The function add(a, b) is tried with\n(1, 2)\n(-3, 4)",
        "```json\n[[1, 2],\n [-3, 4]]\n```",
        '```json\n{"inputs": [\n  {"a": 1, "b": 2},\n  {"a": -3, "b": 4}\n]}\n```',
        '{"a": 1, "b": 2}\n{"b": 4, "a": -3}',
        "1. 1, 2\n2. -3, 4",
        "Input 1: (1, 2)\nInput 2: (-3, 4)",
        "Test case 1: a = 1, b = 2\nTest case 2: a = -3, b = 4",
        "(1, 2),\n(-3, 4),",
    ],
)
def test_two_inputs_are_found_however_they_are_written(text: str) -> None:
    assert arguments(text) == ["(1, 2)", "(-3, 4)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sort_it([3, 1], key=None)", "([3, 1], None)"),
        ("sort_it(set(), 'a')", "(set(), 'a')"),
        ("sort_it([float('inf'), math.inf, Infinity])", INFINITE),
        ("sort_it([true, null], {'a': (1,)})", "([True, None], {'a': (1,)})"),
        ("sort_it('a)b(' * 3)", "('a)b(' * 3,)"),
        ('sort_it(["say \\"f(1)\\"", \'x\'])', "(['say \"f(1)\"', 'x'],)"),
        ("sort_it(list(range(10)))", "(list(range(10)),)"),
        ("sort_it([2 ** 31 - 1, -5])", "([2 ** 31 - 1, -5],)"),
        ("[3, 1, 2]", "([3, 1, 2],)"),
        ('sort_it("""two\nlines""")', "('two\\nlines',)"),
    ],
)
def test_arguments_are_plain_data_in_one_spelling(text: str, expected: str) -> None:
    assert arguments(text, SORT) == [ast.unparse(ast.parse(expected))]


def test_what_is_not_taken_is_counted_under_its_reason() -> None:
    lines = ["add(1, 2)", "add( 1,2 )", "add(b=2, a=1)", "add(1)", "add(1, 2, 3)", "add(x, 2)"]
    lines += ["add(lambda: 1, 2)", "add(open('f'), 2)", "add(*[1, 2])", f"add('{'x' * 1000}', 2)"]
    lines += ["add(1, 2", "add([1, ...], 2)"]
    found = written("\n".join(lines))
    assert found.inputs == [Input(arguments="(1, 2)")]
    assert found.reasons == {
        "taken": 1,
        "duplicate": 2,
        "wrong arguments": 2,
        NOT_PLAIN: 5,
        "too long": 1,
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I'm sorry, I can't help with that.", "not parsed"),
        ("", "not parsed"),
        ("subtract(1, 2)", "other function"),
        ("None of them", "not parsed"),
    ],
)
def test_a_text_without_inputs_is_counted_once(text: str, reason: str) -> None:
    found = written(text)
    assert (found.inputs, found.reasons) == ([], {reason: 1})


def test_without_a_signature_any_arguments_are_taken() -> None:
    unknown = Problem("p", "p", "function", "Add.", "add")
    assert arguments("add(1)\nadd(1, 2)", unknown) == ["(1,)", "(1, 2)"]
    assert written("add(1, x=2)", unknown).inputs == [Input(arguments="(1,)", keywords="{'x': 2}")]


def test_a_method_is_called_without_its_object() -> None:
    method = Problem("p", "p", "function", "Add.", "Solution.add", "def add(self, a, b):")
    assert arguments("Solution().add(1, 2)\ns.add(3)", method) == ["(1, 2)"]


@pytest.mark.parametrize(
    "text",
    [
        "```\n3\n1 2\n```\n\n```\n0\n```",
        "Input 1:\n3\n1 2\n\nInput 2:\n0\n",
        "Two:\n\n**Case 1:**\n```\n3\n1 2\n```\nOutput:\n```\n3\n```\n# Input 2\n```\n0\n```",
        "```\nInput:\n3\n1 2\nOutput:\n3\n---\n0\n```",
    ],
)
def test_inputs_of_a_script_are_blocks_without_their_outputs(text: str) -> None:
    assert written(text, SCRIPT).inputs == [Input(stdin="3\n1 2\n"), Input(stdin="0\n")]


def test_a_text_without_blocks_has_no_input_for_a_script() -> None:
    assert written("I would try 3 and 4.", SCRIPT).reasons == {"not parsed": 1}


def test_given_tests_give_their_inputs_and_not_what_they_expect() -> None:
    found = FoundInputs()
    tests = (CallTest("(1, 2)", "3"), AssertTest("assert add(5, 6) == 11"), CallTest("(1, 2)", "3"))
    add_given(Problem("p", "p", "function", "", "add", tests=tests), found, 1000)
    add_given(Problem("p", "p", "script", "", tests=(StdioTest("1\n", "2\n"),)), found, 1000)
    assert found.inputs == [
        Input(arguments="(1, 2)"),
        Input(arguments="(5, 6)"),
        Input(stdin="1\n"),
    ]
    assert found.reasons == {"taken": 3, "duplicate": 1}


@pytest.mark.parametrize("text", ["add(1 2), ", "add((", "add('", "1, 2\n", "a = [1]\n", "```\n"])
def test_a_model_that_repeats_itself_is_read_in_a_moment(text: str) -> None:
    assert len(written(text * 2000 + ")" * 2000).inputs) <= 1
    written(text * 2000, SCRIPT)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    for problem in (ADD, SCRIPT):
        found = written(f"add({text}\n{text}", problem)
        for each in found.inputs:
            ast.parse(each.arguments)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_what_is_written_is_what_is_read(values: list[object]) -> None:
    calls = "\n".join(f"assert add({value!r}, 0) == 1" for value in values)
    read = written(calls)
    assert read.reasons["taken"] + read.reasons["duplicate"] == len(values)
    names = {"__builtins__": {}, "float": float}
    for each in read.inputs:
        assert eval(each.arguments, names)[0] in values  # noqa: S307 - plain data, as just tested
