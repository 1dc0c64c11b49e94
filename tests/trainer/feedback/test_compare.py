"""Comparing is reflexive and symmetric, and what votes alike compares equal."""

import math
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.feedback.compare import (
    STRICT,
    EqualityRules,
    canonical,
    canonical_text,
    equal_texts,
    equal_values,
)
from trainer.feedback.sandbox.values import Drained

ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.sampled_from([0.0, -0.0, 0.1 + 0.2, 0.3, 1.0, 1e-7, 1e17, 10**17, 1 + 1e-7, 1e308, 10**400]),
    st.complex_numbers(),
    st.text(max_size=3),
    st.binary(max_size=2),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.dates(),
    st.just(range(3)),
)
KEYS = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner), max_leaves=3)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=3),
    ),
    max_leaves=12,
)
COMPARISONS = st.builds(
    EqualityRules, sequences_alike=st.booleans(), booleans_are_numbers=st.booleans()
)
# Words and white space that texts are made of.
TEXTS = st.lists(
    st.sampled_from([" ", "\n", "\t", "1", "1.0", "1.0000001", "-0", "0", "1e400", "nan", "x", "."])
).map("".join)


@given(VALUES, COMPARISONS)
def test_a_value_equals_itself(value: object, comparison: EqualityRules) -> None:
    assert equal_values(value, value, comparison)


@given(VALUES, VALUES, COMPARISONS)
def test_values_compare_alike_in_both_orders(
    left: object, right: object, comparison: EqualityRules
) -> None:
    assert equal_values(left, right, comparison) == equal_values(right, left, comparison)


@given(VALUES, VALUES, COMPARISONS)
def test_values_that_vote_alike_compare_equal(
    left: object, right: object, comparison: EqualityRules
) -> None:
    if canonical(left, comparison) == canonical(right, comparison):
        assert equal_values(left, right, comparison)


@given(st.lists(st.one_of(st.text(max_size=2), st.sampled_from([0.1, 0.3, 1.0, 1e9])), max_size=6))
def test_neither_the_order_of_a_set_nor_rounding_splits_a_vote(elements: list[object]) -> None:
    noisy = {each * (1 + 2e-16) if isinstance(each, float) else each for each in elements[::-1]}
    assert canonical(noisy) == canonical(set(elements))


@given(TEXTS, TEXTS)
def test_texts_compare_alike_in_both_orders(left: str, right: str) -> None:
    assert equal_texts(left, left)
    assert equal_texts(left, right) == equal_texts(right, left)
    if canonical_text(left) == canonical_text(right):
        assert equal_texts(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (0.0, -0.0),
        (math.nan, math.nan),
        ([math.nan, 1], [math.nan, 1]),
        (0.1 + 0.2, 0.3),
        (1.0, 1.0000009),
        (10**17 + 1, 1e17),
        ({1, 2}, frozenset({2, 1})),
        ({"a": 1, "b": [2.0]}, {"b": [2], "a": 1}),
        ({0.1 + 0.2, 1.0}, {1.0000001, 0.3}),
        (Decimal("0.5"), Fraction(1, 2)),
        (Decimal("sNaN"), Decimal("sNaN")),
        (Drained([1, 2]), [1, 2]),
        (range(0, 3, 2), range(0, 4, 2)),
    ],
)
def test_equal_values(left: object, right: object) -> None:
    assert equal_values(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True),
        (0, None),
        (0, False),
        (10**17 + 1, 10**17),
        (1.0, 1.00001),
        ("1", 1),
        ("1.0", "1"),
        ((1, 2), [1, 2]),
        ([1], [1, 1]),
        ({1, 2}, {1, 3}),
        ({1: 2}, {1: 3}),
        ([], {}),
        (b"a", "a"),
        (math.nan, 0.0),
        (math.inf, -math.inf),
        (10**400, 1e308),
        (object(), object()),
        (Decimal("1e999999999"), 1),
        (Fraction(10**400), 1.0),
        (range(2), [0, 1]),
        (date(2020, 1, 1), datetime(2020, 1, 1)),
    ],
)
def test_different_values(left: object, right: object) -> None:
    assert not equal_values(left, right)


def test_integers_of_any_length_have_a_text() -> None:
    huge = 2**40_000
    assert equal_values(huge, huge)
    assert canonical(huge) != canonical(huge + 1)


def test_tuples_and_lists_are_alike_on_request() -> None:
    alike = EqualityRules(sequences_alike=True)
    assert equal_values([(1, 2), {3: (4,)}], ((1, 2), {3: [4]}), alike)
    assert canonical([(1,)], alike) == canonical(([1],), alike)


def test_true_is_one_where_pythons_equality_is_asked_for() -> None:
    python = EqualityRules(booleans_are_numbers=True)
    assert equal_values([True, 0], [1.0, False], python)
    assert not equal_values(True, 1, STRICT)


def test_an_object_that_equals_everything_equals_nothing() -> None:
    class Everything(int):
        def __eq__(self, other: object) -> bool:
            raise AssertionError("foreign code ran")

        __hash__ = int.__hash__

    assert not equal_values(Everything(1), 1)
    assert not equal_values([1], [Everything(1)])
    with pytest.raises(ValueError, match="plain data"):
        canonical([Everything(1)])


def test_what_is_nested_too_deep_equals_nothing() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert not equal_values(deep, deep)
    with pytest.raises(ValueError, match="deep"):
        canonical(deep)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("1 2\n3\n", "1 2\n3", True),
        ("1 2  \n\n", "1 2", True),
        ("1\n2", "1 2", True),  # token by token
        ("0.3333333", "0.33333333", True),
        ("5", "5.0", True),
        ("1000000", "1000001", False),  # both are integers
        ("1000000.0", "1000001", True),
        ("1e400", "2e400", False),
        ("yes", "YES", False),
        ("1 2 3", "1 2", False),
        ("", "0", False),
        ("\u0661", "1", False),  # a digit of another script is a word
    ],
)
def test_texts(left: str, right: str, equal: bool) -> None:
    assert equal_texts(left, right) is equal


def test_canonical_texts_do_not_depend_on_the_hash_seed() -> None:
    script = (
        "from trainer.feedback.compare import canonical;"
        "print(canonical([{'a', 'b', 'c', 1.0}, {'x': {'y', 'z'}, 'w': 1}]))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {b"[set('a', 'b', 'c', 1), {'w': 1, 'x': set('y', 'z')}]\n"}
