"""Explains validation errors: names the field and never repeats its contents."""

import re

from fastapi.exceptions import RequestValidationError

from service.errors import InvalidRequest

_WORDS = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "string_too_short": "must not be empty",
    "string_unicode": "holds half a surrogate pair, which is no character: leave it out",
    "too_short": "must not be empty",
}

# Lists with a higher limit hold items, which may come in several requests.
_FEW = 100

# A name that is worth repeating. Anything else in the place of a key may be a user's text.
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


def explain(error: RequestValidationError) -> InvalidRequest:
    """Say what is wrong with one field, such as `inputs[0].candidates[2]`, and count the rest."""
    faults = list(error.errors())
    # An unknown field is often the misspelt name of one that is missing, so it is told first.
    fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    field = ""
    path = fault["loc"][1:]  # the first part is "body" or "query"
    # An unknown field's own name ends the path, and a client may have put it in angle brackets.
    names_from = len(path) - 1 if fault["type"] == "extra_forbidden" else len(path)
    for place, part in enumerate(path):
        if isinstance(part, int):
            field += f"[{part}]"
        elif place >= names_from or not part.startswith("<"):  # the tag of a union, see body_types
            name = part if _FIELD_NAME.fullmatch(part) else "?"
            field += f".{name}" if field else name
    if not field and fault["type"] not in ("value_error", "string_unicode"):
        words = "must be a JSON object, sent with Content-Type: application/json"
    else:
        message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
        words = _WORDS.get(fault["type"], message[:1].lower() + message[1:])
        if fault["type"] == "too_long":
            limit = fault["ctx"]["max_length"]
            words = f"has more entries than the {limit} that it may have"
            words += "" if limit < _FEW else ": split the request"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return InvalidRequest(f"{field or 'the body'} {words}{more}", param=field or None)
