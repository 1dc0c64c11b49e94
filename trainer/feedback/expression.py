"""Python expressions of plain values: how arguments and results go into the sandbox."""

import math


def expression_of(value: object) -> str:
    """An expression of a value of lists, dicts, sets, tuples, texts and numbers.

    It is what `repr` writes, except for what `repr` writes as something else: NaN, infinities,
    empty sets and integers of any length.
    """
    if isinstance(value, bool) or value is None or isinstance(value, str | bytes):
        return repr(value)
    if isinstance(value, int):
        # Python writes no more than 4300 decimal digits; hexadecimal ones have no limit.
        return repr(value) if value.bit_length() < 10_000 else hex(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
    if isinstance(value, complex):
        return f"complex({expression_of(value.real)}, {expression_of(value.imag)})"
    if isinstance(value, dict):
        pairs = (f"{expression_of(key)}: {expression_of(each)}" for key, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(expression_of, value)) + "]"
    if isinstance(value, tuple):
        return "(" + "".join(f"{expression_of(each)}, " for each in value) + ")"
    if isinstance(value, set | frozenset):
        kind = type(value).__name__
        return f"{kind}(({''.join(f'{expression_of(each)}, ' for each in value)}))"
    raise ValueError(f"no expression of a value of type {type(value).__name__}")
