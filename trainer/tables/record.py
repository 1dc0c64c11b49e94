"""A row of somebody else's file, and how its fields are taken out of it."""

Record = dict[str, object]
"""Columns of one row, as JSON has them."""


class Unusable(ValueError):
    """This row cannot become a comparison; the message is the reason under which it counts.

    It names columns and never quotes their texts: reasons land in manifests and on screens.
    """


def text_of(record: Record, column: str) -> str:
    """A column that must hold text."""
    value = record.get(column)
    if not isinstance(value, str):
        raise Unusable(f"{column} is not text")
    return value


def number_of(record: Record, column: str) -> float | None:
    """A column that may hold a number, or one in writing; None where it holds none."""
    value = record.get(column)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def list_of(record: Record, column: str) -> list[object]:
    """A column that must hold a list."""
    value = record.get(column)
    if not isinstance(value, list):
        raise Unusable(f"{column} is not a list")
    return value


def record_of(value: object, what: str) -> Record:
    """A value that must have columns of its own."""
    if not isinstance(value, dict):
        raise Unusable(f"{what} is not an object")
    return value
