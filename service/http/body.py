"""A request's body: read whole within its limits, or dropped.

What is over a limit is read on for a while and dropped: who is cut off while sending sees a broken
connection, and not the answer that says why.
"""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from service.errors import BodyTooLarge, BodyTooSlow, ClientGone

_BODY_SECONDS = 60
"""For a body to arrive; one that stalls would hold its connection for ever."""

_DROPPED_BODIES = 8
"""Times the limit on a body that are read and dropped before the connection is."""

_DROPPED_AT_GATE = 1024 * 1024
_DROP_SECONDS = 2
"""So many bytes are read and dropped of who may not come in, and for so long."""


class Body:
    """Of one request.

    Attributes:
        begun: whether some of it was asked for.
        ended: whether all of it came; what the connection brings next is another request then.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._announced = _announced(scope)
        self._receive = receive
        self.begun = False
        self.ended = False

    async def receive(self) -> Message:
        self.begun = True
        message = await self._receive()
        if message["type"] == "http.request":
            self.ended = not message.get("more_body", False)
        return message

    async def read(self, limit: int) -> bytes:
        """All of it.

        Raises:
            BodyTooLarge: it has more than `limit` bytes.
            BodyTooSlow, ClientGone: it did not come.
        """
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                size, chunks = await self._read_chunks(limit, limit * _DROPPED_BODIES)
        except TimeoutError:
            raise BodyTooSlow(f"the body was not whole after {_BODY_SECONDS} seconds") from None
        if size > limit:
            raise BodyTooLarge(
                f"the body is larger than {limit} bytes, this server's limit (--max-body-bytes): "
                "split the request"
            )
        return b"".join(chunks)

    async def drop(self) -> None:
        """Read on for a moment and keep nothing."""
        with suppress(TimeoutError, ClientGone):
            async with asyncio.timeout(_DROP_SECONDS):
                await self._read_chunks(0, _DROPPED_AT_GATE)

    async def _read_chunks(self, limit: int, dropped: int) -> tuple[int, list[bytes]]:
        """Its size and its chunks, which are none if it is over the limit. Of such a one no more
        than `dropped` bytes are read, and none if it says that it is larger than that.
        """
        chunks: list[bytes] = []
        size, more = 0, True
        while more and max(size, self._announced) <= dropped:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone("the client left before its request was whole")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            more = not self.ended
            if max(size, self._announced) > limit:
                chunks.clear()
        return max(size, self._announced), chunks


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length[:18]) if length.isdecimal() else 0
