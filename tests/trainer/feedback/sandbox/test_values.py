import contextlib
import math
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.feedback.sandbox.values import Drained, Malformed, NotPlain, TooLarge, decode, encode

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(st.characters(exclude_categories=())),
    st.binary(),
    st.fractions(),
    st.decimals(allow_nan=False),
    st.datetimes().map(lambda moment: moment.replace(fold=0)),
    st.dates(),
    st.times().map(lambda moment: moment.replace(fold=0)),
    st.timedeltas(),
)
hashable = st.recursive(
    scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5
)
plain = st.recursive(
    hashable | st.sets(hashable, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(hashable, inner, max_size=3)
    ),
    max_leaves=20,
)


@given(plain)
def test_plain_data_comes_back_equal_and_of_the_same_types(value: object) -> None:
    assert described(decode(encode(value))) == described(value)


def described(value: object) -> object:
    """A value with the types of all its parts, so that 1, True and 1.0 differ."""
    if isinstance(value, dict):
        return dict, [(described(k), described(v)) for k, v in value.items()]
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(described(member)) for member in value)
    if isinstance(value, list | tuple):
        return type(value), [described(part) for part in value]
    return type(value), value


def test_what_floats_are_besides_numbers_comes_back() -> None:
    assert repr(decode(encode((math.nan, -math.inf, -0.0)))) == "(nan, -inf, -0.0)"


@given(st.text())
def test_hostile_text_is_refused_with_one_error(text: str) -> None:
    with contextlib.suppress(Malformed):
        decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "NaN",
        '{"a": 1}',
        "[]",
        '["unknown"]',
        '["set", ["list"]]',
        '["dict", 1]',
        '["int", 5]',
        '["fraction", 1, 0]',
        '["complex", "a", 1]',
        '["range", 1, 2, 3, 4]',
        '["timedelta", 9999999999999, 0, 0]',
        '["datetime", "yesterday"]',
        '["decimal", "1x"]',
        "[" + ",".join(['"set"', *(f'["int", "{n << 61 | n:x}"]' for n in range(30_000))]) + "]",
        "9" * 5_000,
    ],
)
def test_a_text_that_no_encoder_writes_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        decode(text)


class Colour(IntEnum):
    RED = 3


class EqualsAll(list[int]):
    def __eq__(self, other: object) -> bool:
        return True

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter([7])

    __hash__ = None


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Colour.RED, 3),
        (EqualsAll([1, 2]), [1, 2]),
        (Point(1, 2), (1, 2)),
        (Counter("aab"), {"a": 2, "b": 1}),
        (defaultdict(list, {1: [2]}), {1: [2]}),
        (OrderedDict(a=1), {"a": 1}),
        (deque([1, 2]), [1, 2]),
        (bytearray(b"a"), b"a"),
        (range(1, 9, 2), range(1, 9, 2)),
        ({"a": 1}.keys(), Drained(["a"])),
        (map(str, [1]), Drained(["1"])),
        ((n for n in (1, 2)), Drained([1, 2])),
    ],
)
def test_relatives_of_plain_data_become_plain(value: object, expected: object) -> None:
    told = decode(encode(value))
    assert told == expected
    assert type(told) is type(expected)


@pytest.mark.parametrize("value", [object(), len, type("E", (), {"__eq__": lambda *_: True})()])
def test_anything_else_is_refused_by_the_name_of_its_type(value: object) -> None:
    with pytest.raises(NotPlain, match=type(value).__name__):
        encode([value])


def test_cycles_and_bombs_end() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(NotPlain, match="deep"):
        encode(cycle)
    doubled: list[object] = []
    for _ in range(60):
        doubled = [doubled, doubled]
    with pytest.raises(TooLarge):
        encode(doubled)
    with pytest.raises(TooLarge):
        encode(n for n in iter(int, 1))


@given(st.sets(st.integers() | st.text(), max_size=8), st.randoms())
def test_equal_sets_have_one_text(members: set[object], random: object) -> None:
    again = list(members)
    random.shuffle(again)  # type: ignore[attr-defined]
    assert encode(members) == encode(set(again))


def test_dates_and_numbers_of_the_standard_library() -> None:
    values = [date(2020, 1, 2), datetime(2020, 1, 2, 3), time(1), timedelta(-1), Decimal("1.50")]
    assert decode(encode([*values, Fraction(1, 3)])) == [*values, Fraction(1, 3)]
