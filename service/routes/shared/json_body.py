"""Bodies in JSON: bounded before they are parsed, and parsed more strictly than Python does.

Parsing holds the interpreter, so what it may cost is decided first, by a scan at memory speed.
"""

import json
from collections.abc import Callable
from json import JSONDecodeError

from anyio import CapacityLimiter, to_thread
from fastapi import Request

from service.errors import MalformedBody

# What a body may hold at most. A request has at most 16,384 candidates, and a few lists and objects
# around each. Token ids are not bounded here: a body of them parses in a third of a second. Other
# numbers are bounded, because what a template is to see takes many times as long to validate.
_MAX_DEPTH = 64
_MAX_CONTAINERS = 100_000
_MAX_STRINGS = 500_000
_MAX_OTHERS = 200_000
_TOKEN_IDS = {"input", "input_ids"}

# Bytes from which a body is parsed on a thread, so that the event loop gets its turn in between.
_ON_A_THREAD = 64 * 1024

# Bodies on a thread wait for each other: side by side they would take the interpreter in turns and
# be no faster, and the event loop would wait for all of them.
_one_at_a_time = CapacityLimiter(1)

# Outside of strings: objects count as lists, and `e` stands for any part of a float, true or false.
_SHAPE = bytes.maketrans(b"{}E.", b"[]ee")
_SHAPELESS = bytes(set(range(256)) - set(b'"[]{}eE.'))


class JsonRequest(Request):
    """A request whose body is parsed strictly, and let go as soon as it is parsed."""

    _content: bytes

    async def body(self) -> bytes:
        # FastAPI keeps what this returns until the answer is sent, and looks only whether it is
        # empty.
        if not hasattr(self, "_content"):
            self._content = await super().body()
            self._body = self._content[:1]
        return self._body

    async def json(self) -> object:
        content, self._content = self._content, b""
        try:
            return await self.parse(content)
        except MalformedBody as error:
            # FastAPI keeps the error in a cycle, and its frames and causes would keep the body.
            refused = error.with_traceback(None)
            refused.__context__ = None
            content = b""
        finally:
            release: Callable[[], None] = self.state.release_body
            release()
        raise refused

    async def parse(self, content: bytes) -> object:
        return await read_json(content)


async def read_json(body: bytes) -> object:
    """Parse a body without holding up the event loop. Raises as `parse_json`."""
    if len(body) < _ON_A_THREAD:
        return parse_json(body)
    return await to_thread.run_sync(parse_json, body, limiter=_one_at_a_time)


def parse_json(body: bytes) -> object:
    """Parse a body.

    Half a surrogate pair in a string is kept: only the text that holds it is at fault.

    Raises:
        MalformedBody: the body is not JSON in UTF-8, gives a field twice, holds a number of
            thousands of digits, is nested too deeply, or has too many parts.
    """
    encoding = json.detect_encoding(body)
    if not encoding.startswith("utf-8"):
        raise MalformedBody(f"the body is in {encoding.upper()}: send JSON in UTF-8")
    _check_size(body)
    try:
        # A byte order mark says UTF-8 once more; some editors and libraries write one.
        parsed = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_unique_fields)
    except JSONDecodeError as error:
        # The parser's messages name a line and a column, and quote nothing.
        raise MalformedBody(f"the body is not JSON: {error}") from None
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the body is not in UTF-8: see its byte {error.start}") from None
    except (ValueError, RecursionError):
        raise MalformedBody("the body holds a number or a nesting that no request needs") from None
    if len(body) > _MAX_OTHERS and isinstance(parsed, dict):
        _check_numbers([{name: value for name, value in parsed.items() if name not in _TOKEN_IDS}])
    return parsed


def _check_size(body: bytes) -> None:
    """Count the parts of a body and measure its depth, without looking at what it says.

    Raises:
        MalformedBody: there are more than any request needs.
    """
    # Pairs of backslashes go first, so that each backslash that is left belongs to what follows.
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    if unescaped.count(b'"') > 2 * _MAX_STRINGS:
        raise MalformedBody(_too_many(_MAX_STRINGS, "strings"))
    # Every other piece between quotes is a string's.
    shape = b"".join(unescaped.translate(_SHAPE, _SHAPELESS).split(b'"')[::2])
    if shape.count(b"[") > _MAX_CONTAINERS:
        raise MalformedBody(_too_many(_MAX_CONTAINERS, "lists and objects"))
    if shape.count(b"e") > _MAX_OTHERS:
        raise MalformedBody(_too_many(_MAX_OTHERS, "numbers with fractions, true and false"))
    nesting = shape.translate(None, b"e")
    for _ in range(_MAX_DEPTH):
        # Each round takes away the innermost lists. What does not shrink is no JSON.
        inner = nesting.replace(b"[]", b"")
        if len(inner) == len(nesting):
            return
        nesting = inner
    if b"[]" in nesting:
        raise MalformedBody(f"the body is nested more than {_MAX_DEPTH} deep: no request needs it")


def _check_numbers(waiting: list[dict[str, object] | list[object]]) -> None:
    """Count the numbers and nulls in parsed values, and those in lists and objects within.

    Raises:
        MalformedBody: there are more than any request needs.
    """
    numbers = 0
    while waiting:
        value = waiting.pop()
        for part in value.values() if isinstance(value, dict) else value:
            if isinstance(part, (dict, list)):
                waiting.append(part)
            elif not isinstance(part, str):
                numbers += 1
                # At once, because one flat list may hold millions of them.
                if numbers > _MAX_OTHERS:
                    raise MalformedBody(
                        _too_many(_MAX_OTHERS, "numbers and nulls beside token ids")
                    )


def _too_many(limit: int, parts: str) -> str:
    return f"the body holds more than {limit} {parts}, which no request needs: split it"


def _unique_fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        # Parsers keep the last of several and say nothing about the others.
        raise MalformedBody("a field of the body is given twice: give it once")
    return fields
