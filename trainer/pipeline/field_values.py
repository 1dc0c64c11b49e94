"""Turns plain data, of YAML or JSON, into the values of a config's fields, by their types.

A mapping stands for a nested config and changes only the fields that it names. Where a field may be
one of several configs, the mapping's `kind` chooses; a text alone is the kind with its defaults.
"""

import dataclasses
import math
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from trainer.pipeline.stage import Dataclass, StageError

Place = tuple[str | int, ...]
"""Keys and indices that lead to a value."""


@dataclass(frozen=True)
class PlainScalar:
    """A scalar without quotes, whose meaning depends on its field's type: 1.10 may be a version."""

    text: str

    @property
    def natural(self) -> object:
        """What it means where any type is allowed, by the core schema of YAML 1.2.

        PyYAML itself follows YAML 1.1, where `no` is false, 12:30 a number and 1e-4 a text.
        """
        if self.text in _CONSTANTS:
            return _CONSTANTS[self.text]
        for pattern, base in _INTEGERS.items():
            if found := pattern.fullmatch(self.text):
                return int("".join(found.groups()), base)
        return float(self.text) if _FLOAT.fullmatch(self.text) else self.text


_CONSTANTS: dict[str, object] = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
    | dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf)
    | dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf)
    | dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan)
)
# The lengths are bounded because Python refuses to convert longer texts.
_INTEGERS = {
    re.compile(r"([-+]?)([0-9]{1,4000})"): 10,
    re.compile(r"0o()([0-7]{1,4000})"): 8,
    re.compile(r"0x()([0-9a-fA-F]{1,4000})"): 16,
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


class ValueMistake(Exception):
    """A value that does not fit its field.

    Attributes:
        place: where it stands, below the value that was read.
    """

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


def typed(hint: Any, data: object, current: object = None, place: Place = ()) -> Any:
    """The value of a field of type `hint` that `data` stands for.

    Args:
        data: mappings with text as keys, lists, and scalars, of Python or `PlainScalar`.
        current: the field's value so far, of which a mapping changes only what it names.

    Raises:
        ValueMistake: the data has an unknown field, or a value of another type.
    """
    members = members_of(hint)
    configs: list[Any] = [member for member in members if dataclasses.is_dataclass(member)]
    if configs and not (type(None) in members and plain(data) is None):
        if isinstance(data, PlainScalar | str) and len(configs) > 1:
            data = {"kind": data}
        if not isinstance(data, Mapping):
            known = configs[0].__name__ if len(configs) == 1 else "config with its kind"
            raise ValueMistake(place, f"write a mapping of fields here, as of a {known}")
        return _config(configs, data, current, place)
    if isinstance(data, list):
        for member in members:
            if get_origin(member) is tuple:
                items = get_args(member)
                repeated = len(items) == 2 and items[1] is Ellipsis
                if repeated or len(items) == len(data):
                    each = [items[0]] * len(data) if repeated else items
                    return tuple(
                        typed(kind, item, None, (*place, index))
                        for index, (kind, item) in enumerate(zip(each, data, strict=True))
                    )
    elif _is_list(members) and not (type(None) in members and plain(data) is None):
        raise ValueMistake(place, "write a list here, as in [a, b]")
    return _scalar(hint, members, data, place)


def _is_list(members: tuple[Any, ...]) -> bool:
    return any(get_origin(member) is tuple for member in members) and str not in members


def members_of(hint: Any) -> tuple[Any, ...]:
    """The types that a field may have."""
    union = get_origin(hint) in (Union, types.UnionType)
    return get_args(hint) if union else (hint,)


def kind_name(config: Any) -> str:
    """The `kind` that chooses a config among several."""
    return str(next(each.default for each in dataclasses.fields(config) if each.name == "kind"))


def plain(data: object) -> object:
    """The data with each `PlainScalar` as what it naturally means."""
    if isinstance(data, PlainScalar):
        return data.natural
    if isinstance(data, Mapping):
        return {key: plain(value) for key, value in data.items()}
    return [plain(item) for item in data] if isinstance(data, list) else data


def unknown(what: str, name: str, known: Iterable[str], many: str = "its fields are") -> str:
    """The message about a name that is none of the known ones."""
    names = list(known)
    nearest = get_close_matches(name, names, n=1)
    hint = f"did you mean {nearest[0]}" if nearest else f"{many} {', '.join(names)}"
    return f"there is no {what} {name}; {hint}"


def changed_config(config: Dataclass, data: Mapping[str, object]) -> Any:
    """The config with the fields of a mapping replaced; raises ValueMistake."""
    return _config([type(config)], data, config, ())


def _config(
    configs: list[Any], data: Mapping[str, object], current: object, place: Place
) -> object:
    chosen = configs[0] if len(configs) == 1 else _member(configs, data, current, place)
    given = {name: value for name, value in data.items() if len(configs) == 1 or name != "kind"}
    base: Any = current if type(current) is chosen else None
    known = {each.name: each for each in dataclasses.fields(chosen)}
    hints = get_type_hints(chosen)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise ValueMistake((*place, name), unknown("field", name, known))
        before = _default(known[name]) if base is None else getattr(base, name)
        values[name] = typed(hints[name], value, before, (*place, name))
    if base is None:
        missing = [
            name
            for name, each in known.items()
            if name not in values and _default(each) is dataclasses.MISSING
        ]
        if missing:
            raise ValueMistake(place, f"{chosen.__name__} needs {' and '.join(missing)} as well")
    try:
        # All fields at once: a config may check one of them against another.
        return chosen(**values) if base is None else dataclasses.replace(base, **values)
    except (ValueError, StageError) as error:
        # Where the message begins with one of the fields, its line is the one to look at.
        first = str(error).partition(" ")[0]
        raise ValueMistake((*place, first) if first in values else place, str(error)) from error


def _member(configs: list[Any], data: Mapping[str, object], current: object, place: Place) -> Any:
    kinds = {kind_name(config): config for config in configs}
    if "kind" not in data:
        if type(current) in configs:
            return type(current)
        raise ValueMistake(place, f"name the kind, one of {', '.join(kinds)}")
    kind = data["kind"]
    name = kind.text if isinstance(kind, PlainScalar) else str(kind)
    if name not in kinds:
        message = unknown("kind", name, kinds, "the kinds are")
        raise ValueMistake((*place, "kind") if len(data) > 1 else place, message)
    return kinds[name]


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _scalar(hint: Any, members: tuple[Any, ...], data: object, place: Place) -> object:
    value = plain(data)
    if isinstance(data, PlainScalar):
        if value is None and type(None) in members:
            return None
        # A field of text takes what is written, so that a version 1.10 does not become 1.1.
        numbers = not {int, float, bool}.isdisjoint(members)
        if str in members and not numbers:
            if value is None:
                raise ValueMistake(place, "text is missing here; an empty one is written as ''")
            return data.text
    if isinstance(value, bool) and bool not in members and not {int, float}.isdisjoint(members):
        raise ValueMistake(place, "Input should be a number, and not true or false")
    adapter: TypeAdapter[object] = TypeAdapter(hint)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ValueMistake((*place, *_without_types(first["loc"], value)), first["msg"]) from error


def _without_types(loc: tuple[int | str, ...], value: object) -> Place:
    # pydantic adds the names of a union's types, which lead to nothing in the data.
    place: list[int | str] = []
    for step in loc:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
            place.append(step)
        elif isinstance(value, list) and step in range(len(value)):
            value = value[int(step)]
            place.append(step)
    return tuple(place)
