"""JSON bodies read strictly: bad UTF-8, half a surrogate pair or endless nesting is no JSON."""

import json
from collections.abc import Callable, Coroutine

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from service.errors import MalformedBody


class JsonRoute(APIRoute):
    """A route whose body is read by pydantic's own parser instead of Python's."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        handle = super().get_route_handler()

        async def read_strictly(request: Request) -> Response:
            return await handle(_JsonRequest(request.scope, request.receive))

        return read_strictly


class _JsonRequest(Request):
    async def json(self) -> object:
        return read_json(await self.body())


def read_json(body: bytes) -> object:
    """Raises MalformedBody for what is not JSON in UTF-8, or gives a field twice."""
    try:
        parsed = from_json(body)
        json.loads(body, object_pairs_hook=_refuse_duplicates)
    except ValueError as error:
        # The parser's messages name a line and a column, and quote nothing.
        raise MalformedBody(f"the body is not JSON in UTF-8: {error}") from None
    return parsed


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> None:
    """Of a field that is given twice, parsers keep the last and say nothing of the first."""
    if len(dict(pairs)) < len(pairs):
        raise MalformedBody("a field of the body is given twice: give it once")
