import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pairs.mutants import mutants

SOURCE = """\
def rank(items: list, limit: int=3, *, key=None) -> list | None:
    best: list | None = []
    for index in range(0, len(items)):
        if items[index] > limit and (not key):
            best.append(items[index] + 1)
    if not best:
        raise ValueError('nothing above 3')
    print('found', 2)
    return sorted(best)[1:limit]"""


@given(st.integers(0, 30), st.text(max_size=5))
def test_mutants_are_distinct_compile_and_differ(count: int, seed: str) -> None:
    found = mutants(SOURCE, count, seed)
    assert len(found) == len(set(found)) <= count
    for mutant in found:
        compile(mutant, "mutant", "exec")
        assert ast.dump(ast.parse(mutant)) != ast.dump(ast.parse(SOURCE))


def test_the_same_seed_makes_the_same_mutants() -> None:
    assert mutants(SOURCE, 5, "a") == mutants(SOURCE, 5, "a") != mutants(SOURCE, 5, "b")


def test_what_is_only_said_is_left_alone() -> None:
    for line in {line for mutant in mutants(SOURCE, 1000, "all") for line in mutant.split("\n")}:
        if any(word in line for word in ("raise", "print", "def", "best: ")):
            assert line in SOURCE.split("\n")


@pytest.mark.parametrize(
    "edit",
    [
        ("items[index] > limit", "items[index] >= limit"),
        ("+ 1", "- 1"),
        ("range(0,", "range(1,"),
        ("and (not key)", "or not key"),
        ("if not best", "if best"),
        ("sorted(best)", "list(best)"),
        ("[1:limit]", "[limit:1]"),
        ("best.append", "best.remove"),
        ("    best: list | None = []\n", ""),
        ("return sorted(best)[1:limit]", "return None"),
        ("items[index] > limit", "items[index] > best"),
    ],
)
def test_every_kind_of_edit_is_made(edit: tuple[str, str]) -> None:
    found = mutants(SOURCE, 1000, "all")
    assert any(SOURCE.replace(*edit) == mutant for mutant in found)


@pytest.mark.parametrize("statement", ["pass", "total: int", "print(a)"])
def test_a_statement_that_does_nothing_is_not_what_goes(statement: str) -> None:
    source = f"def f(a, b):\n    {statement}\n    return (a, b)"
    assert all(statement in mutant for mutant in mutants(source, 1000, "all"))


@pytest.mark.parametrize("call", ["max(a, 2 * b)", "math.gcd(a, 2 * b)"])
def test_arguments_are_not_swapped_where_their_order_is_nothing(call: str) -> None:
    swapped = call.replace("a, 2 * b", "2 * b, a")
    assert f"def f(a, b):\n    return {swapped}" not in mutants(
        f"def f(a, b):\n    return {call}", 1000, "all"
    )


def test_a_function_with_nothing_to_change_has_no_mutants() -> None:
    assert mutants("def f():\n    pass", 5, "s") == []
