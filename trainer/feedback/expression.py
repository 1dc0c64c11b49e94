"""Python expressions of plain values: how arguments and results go into the sandbox."""

import math
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction

from trainer.feedback.sandbox.values import Drained

MODULES: dict[type, str] = {
    Decimal: "decimal",
    Fraction: "fractions",
    timedelta: "datetime",
}


def expression_of(value: object) -> str:
    """An expression of plain data that needs no import.

    It is what `repr` writes, except for what `repr` writes as something else: NaN, infinities,
    empty sets, integers of any length, and the numbers and dates of the standard library.

    Raises:
        ValueError: the value is no plain data.
    """
    match value:
        case bool() | None | str() | bytes() | range():
            return repr(value)
        case int():
            # Python writes no more than 4300 decimal digits; hexadecimal ones have no limit.
            return repr(value) if value.bit_length() < 10_000 else hex(value)
        case float():
            return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
        case complex():
            return f"complex({expression_of(value.real)}, {expression_of(value.imag)})"
        case dict():
            pairs = (f"{expression_of(key)}: {expression_of(each)}" for key, each in value.items())
            return "{" + ", ".join(pairs) + "}"
        case Drained() | list():
            inner = "[" + ", ".join(map(expression_of, value)) + "]"
            return f"iter({inner})" if isinstance(value, Drained) else inner
        case tuple() | set() | frozenset():
            inner = "(" + "".join(f"{expression_of(each)}, " for each in value) + ")"
            return inner if isinstance(value, tuple) else f"{type(value).__name__}({inner})"
        case date() | time():  # a datetime is a date, and what `repr` writes of a zone is no import
            name, text = type(value).__name__, value.isoformat()
            return f"__import__('datetime').{name}.fromisoformat({text!r})"
    if module := MODULES.get(type(value)):
        return f"__import__({module!r}).{repr(value).removeprefix('datetime.')}"
    raise ValueError(f"no expression of a value of type {type(value).__name__}")
