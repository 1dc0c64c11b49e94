"""What the docstring of a config says about each of its fields, under `Attributes:`."""

import inspect
import re
from typing import Any

_FIELD = re.compile(r"( {4})?(\w+(?:, \w+)*): (.*)")


def field_docs(config: type[Any]) -> dict[str, str]:
    """A text for each field that the docstring of the class, or of one it inherits from, names."""
    found: dict[str, str] = {}
    for each in reversed(config.__mro__):
        found |= _attributes(inspect.cleandoc(each.__dict__.get("__doc__") or ""))
    return found


def first_line(config: type[Any]) -> str:
    """The first sentence of the class's own docstring; empty where it has none."""
    text = inspect.cleandoc(config.__dict__.get("__doc__") or "")
    # A dataclass without a docstring gets its signature as one.
    return "" if text.startswith(f"{config.__name__}(") else text.partition("\n\n")[0]


def _attributes(text: str) -> dict[str, str]:
    _, _, section = text.partition("\nAttributes:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if not line.strip() or not line.startswith("    "):
            break  # the section ends at an empty line, or at the next heading
        if not line.startswith("     ") and (opening := _FIELD.fullmatch(line)):
            # "calibration, evaluation: ..." is about both.
            names = opening[2].split(", ")
            found |= dict.fromkeys(names, opening[3])
        else:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found
