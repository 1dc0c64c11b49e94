"""A Jinja sandbox in which a chat template can neither stop the process nor take its memory.

A template is a program by the author of a checkpoint. Its loops end, but a few characters of it can
ask for a power of a million digits, or a text of gigabytes. So each rendering has a budget: what
makes texts, lists or rounds of a loop spends from it first, and whatever is over is refused.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from string import Formatter
from types import BuiltinMethodType
from typing import ParamSpec, TypeVar

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

P = ParamSpec("P")
T = TypeVar("T")

_CHARACTERS = 128 * 1024 * 1024
"""Characters that one rendering may make, besides 32 for each that it is given. Templates join
their pieces a few times over, and those that append to one text make it anew for every turn."""

_PER_CHARACTER = 32
_PER_ELEMENT = 32
"""Characters that an element of a list or a round of a loop costs: about its memory."""

_CPU_SECONDS = 1.0
"""The processor time of one rendering. A usual one takes less than a millisecond."""

_MAX_ELEMENTS = 1_000_000
"""The elements of a list, those of lists within included each time they are there."""

_MAX_BITS = 16 * 1024
"""The longest product or power of integers."""

_MAX_NUMBER = 100_000
"""The largest width, count or precision that a filter or a method may be given."""

# Filters whose result may be as long as their value times one of their arguments.
_MULTIPLYING = {
    *("batch", "center", "format", "indent", "join", "replace", "slice", "tojson", "truncate"),
    *("urlize", "wordwrap", "xmlattr"),
}
# Filters that give an argument back, or compare it, whatever number it is.
_PASSING = {
    *("d", "default", "float", "int", "map", "reject", "rejectattr", "select", "selectattr"),
}
# Filters that take quadratic time on some texts.
_SLOW = {"striptags", "sum", "urlize", "wordwrap"}


class Budget:
    """The characters and the processor time that one rendering may still take."""

    def __init__(self, given: int) -> None:
        self._left = _CHARACTERS + _PER_CHARACTER * given
        self._until = time.thread_time() + _CPU_SECONDS
        self._until_clock = 0

    def spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise SecurityError("it makes texts or loops far longer than what it is given")
        self._until_clock -= 1
        if self._until_clock < 0:
            self._until_clock = 32
            if time.thread_time() > self._until:
                raise SecurityError(f"it computes for more than {_CPU_SECONDS:g} second")


_budget: ContextVar[Budget] = ContextVar("budget")


@contextmanager
def limited(given: int) -> Iterator[None]:
    """Everything that templates do within has one budget, for a rendering of `given` characters."""
    token = _budget.set(Budget(given))
    try:
        yield
    finally:
        _budget.reset(token)


def _spend(characters: int) -> None:
    _budget.get().spend(characters)


def _charge(value: T) -> T:
    """Spend what a new value takes; its elements were there before."""
    if isinstance(value, str | bytes):
        _spend(len(value))
    elif isinstance(value, list | tuple | dict):
        _spend(_PER_ELEMENT * len(value))
    else:
        _spend(1)
    return value


def _size(value: object) -> int:
    """The length of a value written out; an element that is there several times counts each time.

    Lists that hold the same list twice, which holds the same list twice, are short to build and
    endless to write, so what has been counted is spent.
    """
    waiting, size = [value], 0
    for _ in range(_MAX_ELEMENTS):
        if not waiting:
            return size
        each = waiting.pop()
        weight = _PER_ELEMENT
        if isinstance(each, str | bytes):
            weight = len(each)
        elif isinstance(each, Mapping):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple):
            waiting += each
        size += weight
        _spend(weight)
    raise SecurityError("it makes lists far longer than what it is given")


def _refuse_large_numbers(values: list[object], most: int = _MAX_NUMBER) -> None:
    if any(isinstance(value, int) and abs(value) > most for value in values):
        raise SecurityError("it asks for a width, a count or a precision far too large")


def _require_format(text: str | bytes, values: object) -> None:
    """Check a format of the operator `%`, and spend what it may make."""
    if isinstance(text, bytes):
        raise SecurityError("it formats bytes")
    fields = re.findall(r"%(?:\([^)]*\))?[#0 +-]*(\*|\d*)(?:\.(\*|\d*))?", text)
    if any(number == "*" or len(number) > 4 for field in fields for number in field):
        raise SecurityError("it formats a text to a width far too large")
    _spend(len(text) + len(fields) * _size(values))


def limited_operator(operator: str, left: object, right: object) -> None:
    """Spend what an operator is about to make, and refuse what is far too long."""
    if operator == "%":
        if isinstance(left, str | bytes):
            _require_format(left, right)
    elif operator == "+":
        if isinstance(left, str | bytes) and isinstance(right, str | bytes):
            _spend(len(left) + len(right))
        elif isinstance(left, list | tuple) and isinstance(right, list | tuple):
            _spend(_PER_ELEMENT * (len(left) + len(right)))
    elif isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length()
        bits = bits * max(right, 1) if operator == "**" else bits + right.bit_length()
        if bits > _MAX_BITS:
            raise SecurityError("it computes a number of far too many digits")
    elif operator == "*":
        for many, times in ((left, right), (right, left)):
            if isinstance(times, int) and isinstance(many, str | bytes | list | tuple):
                one = 1 if isinstance(many, str | bytes) else _PER_ELEMENT
                _spend(one * len(many) * max(times, 0))


def limited_method(method: BuiltinMethodType, arguments: list[object]) -> list[object]:
    """Spend what a method of a text or a number is about to make; returns its arguments.

    An iterator among them is consumed, so the method gets a list in place of it.
    """
    owner, name = method.__self__, method.__name__
    if not isinstance(owner, str | bytes | int):
        return arguments
    length = 0 if isinstance(owner, int) else len(owner)
    _refuse_large_numbers(arguments, max(_MAX_NUMBER, length))
    if isinstance(owner, int):
        return arguments
    if name == "join" and arguments and not isinstance(arguments[0], str | bytes):
        assert hasattr(arguments[0], "__iter__"), "join takes what can be iterated"
        parts = list(arguments[0])
        _spend(sum(len(part) for part in parts if isinstance(part, str | bytes)))
        _spend(len(owner) * len(parts))
        return [parts, *arguments[1:]]
    if name in ("expandtabs", "join", "replace", "translate"):
        numbers = [each for each in arguments if isinstance(each, int) and name == "expandtabs"]
        _spend((1 + length) * max([8, *numbers, *(_size(each) for each in arguments[-2:])]))
    return arguments


def limited_filter(name: str, function: Callable[P, T]) -> Callable[P, T]:
    """The filter, which spends what it makes, and before it what it might multiply."""
    # The first argument may be the context or the like, in place of a value.
    first = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)  # Jinja reads marks of the function
    def bounded(*args: P.args, **kwargs: P.kwargs) -> T:
        given: list[object] = list(args)
        rest = [*given[first + 1 :], *kwargs.values()]
        if name not in _PASSING:
            _refuse_large_numbers(rest)
        if name in _MULTIPLYING or name in _SLOW:
            value = given[first]
            if isinstance(value, Iterator):
                # It can be read once, so the filter gets what was read.
                value = list(value)
                args = (*args[:first], value, *args[first + 1 :])  # type: ignore[assignment]
            size = _size(value)
            if name in _SLOW and size > _MAX_NUMBER:
                raise SecurityError(f"it applies the filter {name} to a text far too long")
            if name == "sum":
                _spend(size * size // 1024)
            numbers = [abs(each) for each in rest if isinstance(each, int)]
            _spend((1 + size) * max([1, *numbers, *map(_size, rest)]) // _PER_ELEMENT)
        if name == "format":
            text = given[first]
            _require_format(text if isinstance(text, str) else str(text), rest)
        return _charge(function(*args, **kwargs))

    return bounded


class _Limits(NodeTransformer):
    """Rewrites what the sandbox has no hooks for: loops, macros, joins, slices and literals."""

    def _counted(self, node: nodes.For | nodes.Macro | nodes.CallBlock) -> nodes.Node:
        self.generic_visit(node)
        constant = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        constant += sum(len(str(const.value)) for const in node.find_all(nodes.Const))
        cost = nodes.Const(_PER_ELEMENT + constant)
        node.body.insert(0, nodes.ExprStmt(_call("spend", [cost])))
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's names
        return self._counted(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        return self._counted(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802
        return self._counted(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("joined", node.nodes)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("charged", [node]) if isinstance(node.arg, nodes.Slice) else node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return node if all(isinstance(e, nodes.Const) for e in node.items) else _sized(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return node if node.ctx != "load" else _sized(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _sized(node)


def _sized(node: nodes.Expr) -> nodes.Expr:
    return _call("sized", [node])


def _call(name: str, arguments: list[nodes.Expr]) -> nodes.Call:
    function = nodes.EnvironmentAttribute(name)
    return nodes.Call(function, arguments, [], None, None)


class _LimitedGenerator(CodeGenerator):
    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        super().visit_Template(_Limits().visit(node), frame)


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox of Jinja with a budget; templates are compiled and rendered within `limited`."""

    code_generator_class = _LimitedGenerator
    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self, extensions: list[str | type[Extension]]) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=extensions, finalize=self._written
        )

    def limit_filters(self) -> None:
        """Let every filter spend what it makes; call it once, when all filters are there."""
        self.filters.update(
            {name: limited_filter(name, function) for name, function in self.filters.items()}
        )

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        limited_operator(operator, left, right)
        result: object = super().call_binop(context, operator, left, right)
        return result

    def call(
        self, context: Context, callee: Callable[..., object], /, *args: object, **kwargs: object
    ) -> object:
        if isinstance(callee, BuiltinMethodType):
            arguments = limited_method(callee, [*args, *kwargs.values()])
            args = tuple(arguments[: len(args)])
        return _charge(super().call(context, callee, *args, **kwargs))

    def wrap_str_format(self, value: object) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None or not isinstance(value, BuiltinMethodType):
            return wrapped
        text = value.__self__
        assert isinstance(text, str)

        def bounded(*args: object, **kwargs: object) -> str:
            fields = [spec or "" for _, _, spec, _ in Formatter().parse(text)]
            if any("{" in spec or re.search(r"\d{5}", spec) for spec in fields):
                raise SecurityError("it formats a text to a width far too large")
            _spend(len(text) + len(fields) * _size([args, kwargs]))
            return wrapped(*args, **kwargs)

        return bounded

    # What rewritten templates call.

    def spend(self, characters: int) -> None:
        _spend(characters)

    def joined(self, *values: object) -> str:
        texts = [str(value) for value in values]
        _spend(sum(map(len, texts)))
        return "".join(texts)

    def charged(self, value: T) -> T:
        return _charge(value)

    def sized(self, value: T) -> T:
        _size(value)
        return value

    @staticmethod
    def _written(value: object) -> str:
        text = str(value)
        _spend(len(text))
        if " at 0x" in text and not isinstance(value, str):
            raise SecurityError("it writes an object's address, which is another one every time")
        return text
