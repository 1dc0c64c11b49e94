"""JSON bodies read strictly: bad UTF-8, half a surrogate pair or endless nesting is no JSON."""

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
        try:
            return from_json(await self.body())
        except ValueError as error:
            # The parser's messages name a line and a column, and quote nothing.
            raise MalformedBody(f"the body is not JSON in UTF-8: {error}") from None
