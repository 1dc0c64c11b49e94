"""The outermost layer: gives a request its id, lets it in, reads its body, and writes its record.

This is pure ASGI. It reads the whole body before the routes see the request, so that bytes are
counted whether they were announced or not.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import (
    BodyTooLarge,
    BodyTooSlow,
    ClientGone,
    Draining,
    EncodedBody,
    InternalError,
    ServiceError,
)
from service.http.gate import Gate
from service.routes.shared.routing import is_probe
from service.telemetry.metrics import Metrics
from service.telemetry.request_record import NO_DIALECT, RequestRecord

_log = logging.getLogger("service.request")

Trace = Callable[[RequestRecord, str | None], str]

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

# Seconds in which a body must arrive: one that stalls would hold its connection for ever.
_BODY_SECONDS = 60

# A body over a limit is read on for a while and discarded, because a client that is cut off while
# it sends sees a broken connection instead of the answer that says why.
# Bytes that are read of a body that is too large, as a multiple of its limit:
_DISCARD_FACTOR = 8
# Bytes and seconds for a request that the gate refused:
_DISCARD_BYTES = 1024 * 1024
_DISCARD_SECONDS = 2


class RequestMiddleware:
    """ASGI middleware around the routes; it answers errors that no route has answered.

    Args:
        max_body_bytes: limit on one request; larger ones are answered without their route.
        body_advice: says what sets that limit, and what a client can do.
        gate: decides who is let in, before a body is read.
        respond: makes the response to an error, given the path that was asked for.
        dialects: the dialect's name for each route's template.
        trace: keeps a finished request's spans, given its `traceparent`; returns the trace's id.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        metrics: Metrics,
        gate: Gate,
        respond: Callable[[ServiceError, str], Response],
        dialects: Mapping[str, str],
        body_advice: str = "this server's limit (--max-body-bytes): split the request",
        trace: Trace | None = None,
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._body_advice = body_advice
        self._metrics = metrics
        self._gate = gate
        self._respond = respond
        self._dialects = dialects
        self._trace = trace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        # The client's own id is kept, unless it is too long or not printable ASCII.
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid.uuid4().hex
        record = RequestRecord(request_id, scope["method"])
        scope.setdefault("state", {})["record"] = record
        try:
            await self._handle(scope, receive, send, record)
        finally:
            record.seconds = time.monotonic() - record.started
            route = scope.get("route")
            record.route = getattr(route, "path", record.route)
            if record.dialect == NO_DIALECT:
                record.dialect = self._dialects.get(record.route, NO_DIALECT)
            self._metrics.observe(record)
            # Probes come every few seconds: they are logged at debug only and never traced.
            quiet = is_probe(route)
            if self._trace and not quiet:
                record.trace_id = self._trace(record, headers.get("traceparent"))
            level = logging.DEBUG if quiet else logging.INFO
            _log.log(level, "request", extra={"facts": record.facts()})

    async def _handle(
        self, scope: Scope, receive: Receive, send: Send, record: RequestRecord
    ) -> None:
        body = RequestBody(scope, receive)
        response_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal response_started
            if message["type"] == "http.response.start":
                response_started = True
                record.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = record.request_id
                if record.result and not record.error:
                    headers["Server-Timing"] = record.server_timing()
                if not body.complete:
                    # A client that sends without end would otherwise keep the connection open.
                    headers["Connection"] = "close"
            await send(message)

        async def send_error(error: ServiceError) -> None:
            record.error = error.code
            if not response_started:
                response = self._respond(error, scope["path"])
                await response(scope, receive, send_with_headers)

        try:
            account = self._gate.admit(scope)
            record.key = account.name
            scope["state"]["account"] = account
            if Headers(scope=scope).get("content-encoding", "identity").lower() != "identity":
                raise EncodedBody("send the body as it is, without Content-Encoding")
            with account.in_flight():
                await body.read(self._max_body_bytes, self._body_advice)
                record.body_bytes = len(body.content)
                await self._app(scope, body.replay, send_with_headers)
        except ServiceError as error:
            if not body.begun:
                await body.discard()
            await send_error(error)
        except asyncio.CancelledError:
            # Only the end of the server cancels a request: the time to drain has passed.
            await send_error(
                Draining("this server shut down before it could answer", retry_after=1)
            )
            raise
        except Exception as fault:  # noqa: BLE001 - no error may leave a request without an answer
            facts = {"request_id": record.request_id}
            _log.error("fault", extra={"facts": facts}, exc_info=fault)
            await send_error(InternalError(f"internal error; request id {record.request_id}"))


class RequestBody:
    """The body of one request: read within its limits, then replayed to the routes.

    Attributes:
        content: what was read.
        begun: whether reading it has begun.
        complete: whether all of it arrived. Only then can the connection be used again.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        length = Headers(scope=scope).get("content-length", "0")
        # 18 digits are more than any limit, and keep a longer number from costing time.
        self._announced = int(length[:18]) if length.isdecimal() else 0
        self._receive = receive
        self._replayed = False
        self.content = b""
        self.begun = self.complete = False

    async def read(self, limit: int, advice: str) -> None:
        """Read the whole body into `content`.

        Raises:
            BodyTooLarge: it has more than `limit` bytes.
            BodyTooSlow, ClientGone: it did not arrive.
        """
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                size = await self._read_chunks(limit, _DISCARD_FACTOR * limit)
        except TimeoutError:
            raise BodyTooSlow(f"the body was not whole after {_BODY_SECONDS} seconds") from None
        if size > limit:
            raise BodyTooLarge(f"the body is larger than {limit} bytes, {advice}")

    async def discard(self) -> None:
        """Read on for a moment and keep nothing."""
        with suppress(TimeoutError, ClientGone):
            async with asyncio.timeout(_DISCARD_SECONDS):
                await self._read_chunks(0, _DISCARD_BYTES)

    async def _read_chunks(self, limit: int, max_discarded: int) -> int:
        """Read up to `limit` bytes into `content`, and discard all of a longer body.

        Of a longer body no more than `max_discarded` bytes are read, and none if it announces
        more than that. Returns its size, as far as that is known.
        """
        chunks: list[bytes] = []
        size = 0
        while not self.complete and max(size, self._announced) <= max_discarded:
            self.begun = True
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone("the client left before its request was whole")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            self.complete = not message.get("more_body", False)
            if max(size, self._announced) > limit:
                chunks.clear()
        self.content = b"".join(chunks)
        return max(size, self._announced)

    async def replay(self) -> Message:
        """Act as ASGI's `receive` for the routes: give the body first, then the server's events.

        After the body the only event is the client's disconnect.
        """
        if self._replayed:
            return await self._receive()
        self._replayed = True
        return {"type": "http.request", "body": self.content, "more_body": False}
