"""Return values as text: written by the program's own process, read by the parent.

The wire form is strict JSON. None, booleans, small integers, finite floats and strings stand for
themselves; everything else is an array that starts with a tag. Only plain data has a wire form, so
that no class of the program, with its own `__eq__` or `__repr__`, ever meets the comparison.

This module imports only the standard library, because it also runs inside of the sandbox.
"""

import collections
import itertools
import json
import math
import types
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

DEPTH = 100
"""Nesting of a value. A cycle runs into it."""
NODES = 200_000
"""Parts of a value altogether."""
HASHED = 20_000
"""Members of sets and keys of dicts altogether that are no strings: their hashes are known, so a
program could choose them to collide, and the parent would be busy for hours."""
FRACTION_BITS = 1 << 16

_SAFE = 1 << 53
_EMPTY: dict[object, object] = {}
_ITERABLES: tuple[Iterable[object], ...] = (
    [],
    (),
    _EMPTY,
    _EMPTY.values(),
    _EMPTY.items(),
    set[object](),
    "",
    "é",
    b"",
    bytearray(),
    range(0),
)
_ITERATORS: frozenset[type] = frozenset(
    [
        *(types.GeneratorType, map, zip, filter, enumerate, reversed),
        *(type(view) for view in (_EMPTY.keys(), _EMPTY.values(), _EMPTY.items())),
        *(type(iter(empty)) for empty in _ITERABLES),
        *(type(reversed([])), type(reversed(_EMPTY))),
        *(kind for kind in vars(itertools).values() if isinstance(kind, type)),
    ]
)


class NotPlain(Exception):
    """A value that is no plain data; the message names its type."""


class TooLarge(Exception):
    """A value with more parts than are told."""


class Malformed(ValueError):
    """A text that no encoder writes."""


class Drained(list[object]):
    """What an iterator or a dict view gave. It equals a list with the same items."""


def encode(value: object) -> str:
    """The wire form of plain data; equal sets give equal texts.

    Raises:
        NotPlain: it holds something else, or is nested too deep.
        TooLarge: it has too many parts.
    """
    return json.dumps(_Encoder().node(value, DEPTH), separators=(",", ":"))


class _Encoder:
    def __init__(self) -> None:
        self.left = NODES

    def node(self, value: object, depth: int) -> object:
        self.left -= 1
        if self.left < 0:
            raise TooLarge
        if depth == 0:
            raise NotPlain("a value that is nested too deep")
        kind = type(value)
        if kind in _ATOMS:
            return _ATOMS[kind](value)
        if kind in _CONTAINERS:
            tag, parts = _CONTAINERS[kind]
            nodes = [self.node(part, depth - 1) for part in parts(value)]
            if tag.endswith("set"):
                nodes.sort(key=json.dumps)
            return [tag, *nodes]
        for base, plain in _BASES:
            if issubclass(kind, base):
                # The base's own method ignores what the subclass overrides.
                return self.node(plain(value), depth)
        if kind.__module__ == "numpy":
            method = "tolist" if kind.__name__ == "ndarray" else "item"
            told = getattr(kind, method, lambda _: None)(value)
            if type(told) in (bool, int, float, complex, str, list):
                return self.node(told, depth)
        raise NotPlain(kind.__name__)


def _str(value: str) -> object:
    try:
        value.encode()
    except UnicodeEncodeError:
        return ["str", value.encode("utf-8", "surrogatepass").hex()]
    return value


def _float(value: float) -> object:
    return value if math.isfinite(value) else ["float", repr(value)]


_ATOMS: dict[type, Callable[..., object]] = {
    type(None): lambda value: value,
    bool: lambda value: value,
    int: lambda value: value if -_SAFE < value < _SAFE else ["int", hex(value)],
    float: _float,
    complex: lambda value: ["complex", _float(value.real), _float(value.imag)],
    str: _str,
    bytes: lambda value: ["bytes", value.hex()],
    bytearray: lambda value: ["bytes", value.hex()],
    Decimal: lambda value: ["decimal", str(value)],
    datetime: lambda value: ["datetime", value.isoformat()],
    date: lambda value: ["date", value.isoformat()],
    time: lambda value: ["time", value.isoformat()],
    timedelta: lambda value: ["timedelta", value.days, value.seconds, value.microseconds],
}
_CONTAINERS: dict[type, tuple[str, Callable[..., Iterable[object]]]] = {
    list: ("list", iter),
    tuple: ("tuple", iter),
    collections.deque: ("list", iter),
    dict: ("dict", lambda value: itertools.chain.from_iterable(value.items())),
    set: ("set", iter),
    frozenset: ("frozenset", iter),
    range: ("range", lambda value: (value.start, value.stop, value.step)),
    Fraction: ("fraction", lambda value: (value.numerator, value.denominator)),
    **dict.fromkeys(_ITERATORS, ("iterator", iter)),
}
# Subclasses, and how each becomes its base.
_BASES: tuple[tuple[type, Callable[..., object]], ...] = (
    (int, int.__int__),
    (float, float.__float__),
    (str, str.__str__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (list, lambda value: list.__getitem__(value, slice(None))),
    (tuple, lambda value: tuple(tuple.__iter__(value))),
    (dict, lambda value: dict(dict.items(value))),
    (set, lambda value: set(set.__iter__(value))),
    (frozenset, lambda value: frozenset(frozenset.__iter__(value))),
    (collections.deque, lambda value: list(collections.deque.__iter__(value))),
)


def decode(text: str) -> object:
    """The value of a wire form, as built-in data and the standard library's numbers and dates.

    The text may be hostile: it is bounded before anything is made of it. An integer may have
    more digits than `str` accepts.

    Raises:
        Malformed: it is no wire form.
    """
    try:
        return _Decoder().value(json.loads(text, parse_constant=_refuse), DEPTH)
    except (ArithmeticError, RecursionError, TypeError, ValueError) as error:
        raise Malformed(f"no wire form of a value: {str(error)[:100]}") from None


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no strict JSON")


class _Decoder:
    def __init__(self) -> None:
        self.left = NODES
        self.hashed = HASHED

    def value(self, node: object, depth: int) -> object:
        self.left -= 1
        if self.left < 0 or depth == 0:
            raise ValueError("a value that is too large")
        if not isinstance(node, list):
            if isinstance(node, dict):
                raise ValueError("an object is no wire form")
            return node
        match node:
            case ["set" | "frozenset" as tag, *rest]:
                members = self.hashable(rest, depth)
                return set(members) if tag == "set" else frozenset(members)
            case ["dict", *rest] if len(rest) % 2 == 0:
                keys = self.hashable(rest[::2], depth)
                return dict(zip(keys, self.all(rest[1::2], depth), strict=True))
            case ["range" | "fraction" | "timedelta" as tag, *rest]:
                return self.numbers(tag, rest, depth)
            case ["complex", real, imag]:
                return complex(self.number(real, depth), self.number(imag, depth))
            case [str(tag), str(text)] if tag in _READ_ATOMS:
                return _READ_ATOMS[tag](text)
            case [str(tag), *rest] if tag in _SEQUENCES:
                return _SEQUENCES[tag](self.all(rest, depth))
        raise ValueError("an unknown tag")

    def all(self, nodes: list[object], depth: int) -> list[object]:
        return [self.value(node, depth - 1) for node in nodes]

    def hashable(self, nodes: list[object], depth: int) -> list[object]:
        self.hashed -= sum(not isinstance(node, str) for node in nodes)
        if self.hashed < 0:
            raise ValueError("a set or dict that is too large")
        return self.all(nodes, depth)

    def number(self, node: object, depth: int) -> float:
        value = self.value(node, depth - 1)
        if not isinstance(value, float):
            raise ValueError("no float")
        return value

    def numbers(self, tag: str, nodes: list[object], depth: int) -> object:
        numbers = [n for n in self.all(nodes, depth) if isinstance(n, int)]
        if len(numbers) != (2 if tag == "fraction" else 3):
            raise ValueError(f"no {tag}")
        if tag == "range":
            return range(*numbers)
        if any(n.bit_length() > FRACTION_BITS for n in numbers):
            raise ValueError("a number that is too large")
        return Fraction(*numbers) if tag == "fraction" else timedelta(*numbers)


def _float_name(text: str) -> float:
    if text not in ("inf", "-inf", "nan"):
        raise ValueError("an unknown float")
    return float(text)


def _decimal(text: str) -> Decimal:
    if len(text) > 10_000:
        raise ValueError("a decimal that is too long")
    return Decimal(text)


_READ_ATOMS: dict[str, Callable[[str], object]] = {
    "int": lambda text: int(text, 16),
    "float": _float_name,
    "str": lambda text: bytes.fromhex(text).decode("utf-8", "surrogatepass"),
    "bytes": bytes.fromhex,
    "decimal": _decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
}
_SEQUENCES: dict[str, Callable[[list[object]], object]] = {
    "list": list,
    "tuple": tuple,
    "iterator": Drained,
}
