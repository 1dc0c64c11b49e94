"""Chat templates, compiled and rendered as transformers does it, but with limits and a fixed date.

transformers renders with the clock of the moment, so that one conversation has other tokens, and
another score, on another day. Here every template sees one date.
"""

import json
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from typing import NoReturn

from jinja2 import Template, nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.utils import Namespace
from pydantic import JsonValue

from reward_model.text.template_limits import LimitedEnvironment, limited

_DEFAULT_DATE = date(2024, 7, 26)
"""The date for a template that names none of its own. If it changed, so would scores."""

_CLOCK = "strftime_now"


class Unencodable(ValueError):
    """The checkpoint's template or tokenizer cannot take this conversation; the message is for the
    user, and quotes no text of his but what the template itself says."""


def render_template(source: str, variables: dict[str, JsonValue], day: date | None = None) -> str:
    """Render a template as on `day`; None means the date that the template itself falls back on.

    Raises:
        Unencodable: the template refuses, fails, or asks for far too much.
    """
    try:
        with limited(_length(variables)):
            return _compiled(source, day).render(variables)
    except TemplateError as error:
        raise Unencodable(f"the chat template refuses this conversation: {error}") from error
    except Exception as error:  # a template is a program, and may raise whatever it likes
        # Without its message, which may quote the conversation.
        raise Unencodable(
            f"the chat template fails on this conversation: {type(error).__name__}"
        ) from error


def date_seen(source: str, day: date | None = None) -> date | None:
    """The date that a template sees in place of today's; None if it never asks.

    Args:
        day: the date that it was trained with, if that is known. Otherwise the template's own
            fallback counts, for programs that tell it no date.
    """
    tree = environment_of(_DEFAULT_DATE).parse(source)
    if not any(name.name == _CLOCK for name in tree.find_all(nodes.Name)):
        return None
    if day:
        return day
    texts = [const.value for const in tree.find_all(nodes.Const) if isinstance(const.value, str)]
    texts += [data.data.strip() for data in tree.find_all(nodes.TemplateData)]
    formats = [text for text in texts if "%" in text] or ["%d %b %Y"]
    for text in texts:
        for format_ in formats:
            try:
                found = datetime.strptime(text, format_).date()
            except ValueError:
                continue
            if found.year >= 2000:  # a format without a year gives 1900
                return found
    return _DEFAULT_DATE


@lru_cache(maxsize=64)
def constants(source: str) -> frozenset[str]:
    """The texts that a template writes, or compares with what it is given."""
    found = environment_of(_DEFAULT_DATE).parse(source).find_all(nodes.Const)
    return frozenset(const.value for const in found if isinstance(const.value, str))


def _length(value: JsonValue) -> int:
    """The number of characters that a template is given."""
    match value:
        case str():
            return len(value)
        case list():
            return sum(map(_length, value)) + len(value)
        case dict():
            return sum(len(key) + _length(each) for key, each in value.items())
    return 1


@lru_cache(maxsize=64)
def _compiled(source: str, day: date | None) -> Template:
    template: Template = environment_of(date_seen(source, day) or _DEFAULT_DATE).from_string(source)
    return template


@lru_cache(maxsize=8)
def environment_of(day: date) -> LimitedEnvironment:
    """The environment in which transformers renders, with limits, and without clock or chance."""

    def raise_exception(message: str) -> NoReturn:
        raise TemplateError(message)

    def strftime_now(format: str) -> str:  # noqa: A002 - its name in transformers
        return datetime(day.year, day.month, day.day).strftime(format)

    def tojson(
        x: object,
        ensure_ascii: bool = False,
        indent: int | str | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(
            x,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    environment = LimitedEnvironment([_Generation, "jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = tojson
    environment.filters["random"] = _refuse_chance
    environment.limit_filters()
    environment.globals.update(
        {
            "raise_exception": raise_exception,
            _CLOCK: strftime_now,
            "dict": _Dict(),
            "namespace": _Namespace,
            "lipsum": _refuse_chance,
        }
    )
    return environment


def _refuse_chance(*_args: object, **_kwargs: object) -> NoReturn:
    raise SecurityError(
        "it draws at random, so one text would have many scores: serve it with a template that "
        "does not (--chat-template)"
    )


class _Dict:
    """The part of `dict` that templates may use, and nothing else of that type."""

    def __call__(self, *args: object, **kwargs: object) -> dict[object, object]:
        made: Callable[..., dict[object, object]] = dict
        return made(*args, **kwargs)

    def fromkeys(self, keys: list[object], value: object = None) -> dict[object, object]:
        return dict.fromkeys(keys, value)


class _Namespace(Namespace):
    """Jinja's namespace, which keeps names that begin with an underscore to itself."""

    def __init__(*args: object, **kwargs: object) -> None:
        made: Callable[..., dict[str, object]] = dict
        attributes = made(*args[1:], **kwargs)
        for name in attributes:
            _Namespace._require_public(name)
        Namespace.__init__(args[0], attributes)

    def __setitem__(self, name: str, value: object) -> None:
        _Namespace._require_public(name)
        Namespace.__setitem__(self, name, value)

    def __repr__(self) -> str:
        # Namespaces may hold each other, and written out they would have no end.
        return "<Namespace>"

    @staticmethod
    def _require_public(name: object) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise SecurityError("it sets a name with an underscore in a namespace")


class _Generation(Extension):
    """The block `generation`, by which trainers find the assistant's text; it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Callable[[], str]) -> str:
        return caller()
