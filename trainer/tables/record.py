"""A row of somebody else's table, and checked access to its fields."""

import math

Record = dict[str, object]
"""Columns of one row, with values as JSON has them."""


class Unusable(ValueError):
    """A row that cannot be used; the message is the reason under which it is counted.

    It names columns and never quotes their texts: reasons appear in manifests and on screens.
    """


def text_of(record: Record, column: str) -> str:
    """The text in a column; Unusable if it holds anything else."""
    value = record.get(column)
    if not isinstance(value, str):
        raise Unusable(f"{column} is not text")
    return value


def number_of(record: Record, column: str) -> float | None:
    """The finite number in a column, also as text; None if it holds none."""
    value = record.get(column)
    # In Python, True is an int.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def list_of(record: Record, column: str) -> list[object]:
    """The list in a column; Unusable if it holds anything else."""
    value = record.get(column)
    if isinstance(value, str) and value.lstrip().startswith("["):
        raise Unusable(f"{column} is a list that was written as text: parse it first")
    if not isinstance(value, list):
        raise Unusable(f"{column} is not a list")
    return value


def record_of(value: object, what: str) -> Record:
    """A value as a record; Unusable if it is not one. `what` names it in the reason."""
    if not isinstance(value, dict):
        raise Unusable(f"{what} is not an object")
    return value


def without_nulls(record: Record) -> Record:
    """The row without the members of nested objects that are null.

    A table gives all objects of a column the members of all of them, and null to those that had
    none. A chat template would take a null for a value.
    """
    return {column: _without_nulls(value) for column, value in record.items()}


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value
