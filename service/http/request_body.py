"""The body of a request: read whole, within its own limits and one of all bodies together."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from service.allocator import LARGE, Trimmer
from service.errors import BodyTooLarge, BodyTooSlow, ClientGone, EncodedBody, QueueFull

# Seconds in which a body must arrive: one that stalls would hold its connection for ever.
_BODY_SECONDS = 60

# A body over a limit is read on for a while and discarded, because a client that is cut off while
# it sends sees a broken connection instead of the answer that says why.
# Bytes that are read of a body that is too large, as a multiple of its limit:
_DISCARD_FACTOR = 8
# Bytes and seconds for a request that was refused by its head:
_DISCARD_BYTES = 1024 * 1024
_DISCARD_SECONDS = 2


class BodyBudget:
    """Counts the bytes of all bodies that are being read or parsed, and bounds their sum."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self.trimmer = Trimmer()

    def take(self, size: int) -> None:
        """Count bytes that have arrived.

        Raises:
            QueueFull: they are more than there is room for; nothing is counted.
        """
        if self._taken + size > self._limit:
            raise QueueFull(
                f"the bodies of requests under way fill the {self._limit} bytes that this server "
                "reads at a time (--max-bodies-bytes): try again",
                retry_after=1,
            )
        self._taken += size

    def give_back(self, size: int) -> None:
        self._taken -= size


class RequestBody:
    """The body of one request: read within its limits, then replayed to the routes.

    Attributes:
        content: what was read, until `release`.
        size: bytes that have arrived.
        begun: whether reading it has begun.
        complete: whether all of it arrived. Only then can the connection be used again.
    """

    def __init__(self, scope: Scope, receive: Receive, budget: BodyBudget) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        # 18 digits are more than any limit, and keep a longer number from costing time.
        self._announced = int(length[:18]) if length.isdecimal() else 0
        self._chunked = "transfer-encoding" in headers
        self._encoded = headers.get("content-encoding", "identity").lower() != "identity"
        # Reading would invite a body that the client holds back until it hears more.
        self._waits = headers.get("expect", "").lower() == "100-continue"
        self._receive = receive
        self._budget = budget
        self._held = 0
        self._replayed = False
        self.content = b""
        self.size = 0
        self.begun = self.complete = False

    async def read(self, limit: int, advice: str) -> None:
        """Read the whole body into `content`.

        Raises:
            BodyTooLarge: it has more than `limit` bytes.
            QueueFull: there is no room for it beside the bodies of other requests.
            BodyTooSlow, ClientGone: it did not arrive.
            EncodedBody: it is compressed, or otherwise not as it is.
        """
        if self._encoded:
            raise EncodedBody("send the body as it is, without Content-Encoding")
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                size = await self._read_chunks(limit, _DISCARD_FACTOR * limit)
        except TimeoutError:
            raise BodyTooSlow(
                f"the body was not whole after {_BODY_SECONDS} seconds: send it without a pause, "
                "or split the request"
            ) from None
        except QueueFull:
            self.release()
            await self.discard(limit)
            raise
        if size > limit:
            raise BodyTooLarge(f"the body is larger than {limit} bytes, {advice}")

    async def discard(self, max_bytes: int = _DISCARD_BYTES) -> None:
        """Read on for a moment and keep nothing.

        Chunks can cost far more than their bytes, so a client that sends them is cut off.
        """
        if not self._chunked:
            with suppress(TimeoutError, ClientGone):
                async with asyncio.timeout(_DISCARD_SECONDS):
                    await self._read_chunks(0, max_bytes)

    async def _read_chunks(self, limit: int, max_discarded: int) -> int:
        """Read up to `limit` bytes into `content`, and discard all of a longer body.

        Of a longer body no more than `max_discarded` bytes are read, and none if it announces
        more than that or waits to be invited. Returns its size, as far as that is known.
        """
        if self._waits and self._announced > limit:
            return self._announced
        chunks: list[bytes] = []
        while not self.complete and max(self.size, self._announced) <= max_discarded:
            self.begun = True
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone("the client left before its request was whole")
            chunk: bytes = message.get("body", b"")
            self.size += len(chunk)
            self.complete = not message.get("more_body", False)
            if max(self.size, self._announced) > limit:
                chunks.clear()
                self.release()
            else:
                self._budget.take(len(chunk))
                self._held += len(chunk)
                chunks.append(chunk)
        self.content = b"".join(chunks)
        return max(self.size, self._announced)

    def release(self) -> None:
        """Forget the content, and make room for other bodies."""
        self.content = b""
        self._budget.give_back(self._held)
        self._held = 0

    def close(self) -> None:
        """Release the body at the end of its request, whose memory the system gets back."""
        self.release()
        if self.size >= LARGE:
            self._budget.trimmer.trim_soon()

    async def replay(self) -> Message:
        """Act as ASGI's `receive` for the routes: give the body first, then the server's events.

        After the body the only event is the client's disconnect.
        """
        if self._replayed:
            return await self._receive()
        self._replayed = True
        return {"type": "http.request", "body": self.content, "more_body": False}
