"""Compares outputs with what is expected, and writes the canonical text that votes are taken on.

Comparing has a tolerance, which is not transitive: a vote by it would depend on the order of the
votes. So votes go by `canonical` texts, whose equality is an equivalence, and two values with one
canonical text always compare equal. Nothing here runs code of a value: values are plain data.
"""

import cmath
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

from trainer.feedback.sandbox.values import Drained
from trainer.pairs.group import trimmed

Number = int | float | complex | Decimal | Fraction

# Types of plain data, which are looked up exactly: an object of a subclass may do anything in its
# methods. Values of different kinds are never equal. What an iterator gave counts as a list.
KINDS: dict[type, str] = {
    type(None): "none",
    **dict.fromkeys((int, float, complex, Decimal, Fraction), "number"),
    **dict.fromkeys((list, Drained), "list"),
    **dict.fromkeys((set, frozenset), "set"),
    **{
        kind: kind.__name__
        for kind in (bool, str, bytes, tuple, dict, range, date, datetime, time, timedelta)
    },
}

# Finite decimal numbers as programs print them. "nan" and "inf" are equal only as words.
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
INTEGER = re.compile(r"[+-]?\d+", re.ASCII)

# Digits that a float keeps in its canonical text: 0.1 + 0.2 and 0.3 are one vote.
SIGNIFICANT_DIGITS = 12

# Unordered numbers that agree only within the tolerance are matched up to this many elements;
# matching takes quadratic time.
MAX_MATCHED = 64

# Nested lists deeper than this are compared by nobody: they are different from everything.
MAX_DEPTH = 200


@dataclass(frozen=True)
class EqualityRules:
    """How values are compared.

    Attributes:
        tolerance: absolute or relative difference of numbers that count as equal, unless both are
            integers.
        sequences_alike: a tuple equals a list of the same elements, as for tests that come from
            JSON, which has no tuples.
        booleans_are_numbers: True equals 1, as in Python's `==`.
    """

    tolerance: float = 1e-6
    sequences_alike: bool = False
    booleans_are_numbers: bool = False


STRICT = EqualityRules()


def equal_texts(left: str, right: str, comparison: EqualityRules = STRICT) -> bool:
    """Whether two printed texts are the same up to white space at the ends of lines.

    Otherwise their words must be the same one by one; numbers may differ by the tolerance, unless
    both are integers.
    """
    if canonical_text(left) == canonical_text(right):
        return True
    one, other = left.split(), right.split()
    return len(one) == len(other) and all(
        _equal_words(a, b, comparison.tolerance) for a, b in zip(one, other, strict=True)
    )


def canonical_text(text: str) -> str:
    """The text without white space at the ends of its lines and at its end."""
    return trimmed(text)


def equal_values(left: object, right: object, comparison: EqualityRules = STRICT) -> bool:
    """Whether two values of plain data are equal; reflexive and symmetric.

    NaN equals NaN. 1 equals 1.0. Sets and dicts are compared without their order. A value of a
    type that the sandbox does not tell equals nothing, not even itself.
    """
    return _equal(left, right, comparison, MAX_DEPTH)


def canonical(value: object, comparison: EqualityRules = STRICT) -> str:
    """The text that stands for a value in votes: values that vote alike have the same text.

    It depends on neither the hash seed nor the order of sets and dicts. A float is rounded to 12
    significant digits, and is written as an integer if that is what is left of it: 1.0 and 1 are
    one vote, so are -0.0 and 0. True and 1 are two, unless `booleans_are_numbers`.

    Raises:
        ValueError: the value is no plain data, or is nested deeper than 200 levels.
    """
    return _canonical(value, comparison, MAX_DEPTH)


def _equal_words(left: str, right: str, tolerance: float) -> bool:
    if left == right:
        return True
    if not (NUMBER.fullmatch(left) and NUMBER.fullmatch(right)):
        return False
    if INTEGER.fullmatch(left) and INTEGER.fullmatch(right):
        return False
    one, other = float(left), float(right)
    return (
        math.isfinite(one)
        and math.isfinite(other)
        and math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
    )


def _equal(left: object, right: object, comparison: EqualityRules, depth: int) -> bool:
    if depth == 0:
        return False
    one, other = _kind(left, comparison), _kind(right, comparison)
    if one != other or one == "":
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return _equal_unordered(list(left.items()), list(right.items()), comparison, depth)
    if isinstance(left, set | frozenset) and isinstance(right, set | frozenset):
        return _equal_unordered(left, right, comparison, depth)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(
            _equal(a, b, comparison, depth - 1) for a, b in zip(left, right, strict=True)
        )
    if isinstance(left, Number) and isinstance(right, Number):
        return _equal_numbers(left, right, comparison.tolerance)
    return left == right  # both are of one of Python's own types, whose `==` is no foreign code


def _kind(value: object, comparison: EqualityRules) -> str:
    """The name of a value's kind; empty for what is no plain data."""
    kind = KINDS.get(type(value), "")
    if kind == "bool" and comparison.booleans_are_numbers:
        return "number"
    if kind == "tuple" and comparison.sequences_alike:
        return "list"
    return kind


def _equal_numbers(left: Number, right: Number, tolerance: float) -> bool:
    if isinstance(left, int) and isinstance(right, int):
        return left == right
    try:
        if isinstance(left, complex) or isinstance(right, complex):
            one, other = complex(left), complex(right)
            if cmath.isnan(one) or cmath.isnan(other):
                parts = ((one.real, other.real), (one.imag, other.imag))
                return all(_equal_numbers(a, b, tolerance) for a, b in parts)
            return cmath.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return left == right or math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)
    except (OverflowError, ValueError):
        # A number beyond every float, or a signalling NaN, is close to none.
        return type(left) is type(right) and repr(left) == repr(right)


def _equal_unordered(
    left: Collection[object], right: Collection[object], comparison: EqualityRules, depth: int
) -> bool:
    """Whether elements can be paired so that all pairs are equal."""
    if len(left) != len(right):
        return False
    try:
        one, other = (
            sorted(each, key=lambda element: _canonical(element, comparison, depth - 1))
            for each in (left, right)
        )
    except ValueError:
        return False
    if all(_equal(a, b, comparison, depth - 1) for a, b in zip(one, other, strict=True)):
        return True
    if len(one) > MAX_MATCHED:
        return False
    rows = [[_equal(a, b, comparison, depth - 1) for b in other] for a in one]
    return _has_perfect_matching(rows)


def _has_perfect_matching(rows: Sequence[Sequence[bool]]) -> bool:
    """Kuhn's algorithm: whether each row can have a column of its own that is true in it."""
    owner: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for column, possible in enumerate(rows[row]):
            if possible and column not in tried:
                tried.add(column)
                if column not in owner or place(owner[column], tried):
                    owner[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(rows)))


def _canonical(value: object, comparison: EqualityRules, depth: int) -> str:
    if depth == 0:
        raise ValueError("nested too deep")

    def inner(element: object) -> str:
        return _canonical(element, comparison, depth - 1)

    kind = _kind(value, comparison)
    if isinstance(value, dict):
        # Sorted by key and value: keys that differ only in digits that are not kept are equal.
        pairs = sorted((inner(key), inner(each)) for key, each in value.items())
        return "{" + ", ".join(f"{key}: {each}" for key, each in pairs) + "}"
    if isinstance(value, set | frozenset):
        return "set(" + ", ".join(sorted(map(inner, value))) + ")"
    if isinstance(value, list | tuple):
        opening, closing = "[]" if kind == "list" else "()"
        return opening + ", ".join(map(inner, value)) + closing
    if isinstance(value, complex):
        real, imaginary = _canonical_real(value.real), _canonical_real(value.imag)
        return real if imaginary == "0" else f"complex({real}, {imaginary})"
    if isinstance(value, Decimal | Fraction):
        try:
            return _canonical_real(float(value))
        except (OverflowError, ValueError):
            return repr(value)
    if kind == "number":
        assert isinstance(value, int | float)
        return _canonical_real(value)
    if not kind:
        raise ValueError("not plain data")
    return repr(value)


def _canonical_real(value: float | int) -> str:
    if isinstance(value, int):
        # Python writes no more than 4300 decimal digits; hexadecimal ones have no limit.
        return str(int(value)) if value.bit_length() < 10_000 else hex(value)
    if not math.isfinite(value):
        return repr(value)
    rounded = float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return str(int(rounded)) if rounded.is_integer() and abs(rounded) < 2**53 else repr(rounded)
