"""Validation errors in words that name the field and never repeat what was in it."""

import re
from collections.abc import Sequence
from typing import TypedDict

from fastapi.exceptions import RequestValidationError

from service.errors import InvalidRequest


class _Fault(TypedDict):
    type: str
    loc: tuple[str | int, ...]
    msg: str


_UNKNOWN = "extra_forbidden"
_WORDS = {
    "missing": "is required",
    _UNKNOWN: "is not a known field",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "too_long": "has more entries than one request may have: split the request",
}
UNION_TAGS = frozenset(
    {
        *("<text>", "<list>", "<ids>", "<id lists>", "<native>", "<pairs>"),
        *("<document>", "<documents>", "<texts>", "<pair>", "<batch>", "<flat>", "<rows>"),
    }
)
"""Which of several shapes a value was taken for: in a fault's path, and no field's name."""

_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
"""A name that is worth repeating; anything else in a key's place may be a user's text."""


def explain(error: RequestValidationError) -> InvalidRequest:
    """The first fault, and how many more there are."""
    # An unknown field is often the misspelt name of one that is missing.
    faults: Sequence[_Fault] = sorted(error.errors(), key=lambda fault: fault["type"] != _UNKNOWN)
    field = _field(faults[0]["loc"][1:])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return InvalidRequest(f"{field or 'the body'} {_fault(faults[0])}{more}", param=field or None)


def _fault(fault: _Fault) -> str:
    if UNION_TAGS.issuperset(fault["loc"][1:]) and fault["type"] != "value_error":
        return "must be a JSON object, sent with Content-Type: application/json"
    own_words = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return _WORDS.get(fault["type"], own_words[:1].lower() + own_words[1:])


def _field(path: Sequence[str | int]) -> str:
    """`inputs[0].candidates[2]`."""
    name = ""
    for part in path:
        if part in UNION_TAGS:
            continue
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            shown = part if _FIELD_NAME.fullmatch(part) else "?"
            name += f".{shown}" if name else shown
    return name
