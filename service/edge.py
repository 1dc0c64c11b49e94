"""The outermost layer of every HTTP request: its id, its body's limit, its record, its last resort.

Pure ASGI. Reads the body whole before the routes see the request, so that bytes are counted
whether they were announced or not.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import (
    BodyTooLarge,
    BodyTooSlow,
    ClientGone,
    Draining,
    InternalError,
    ServiceError,
)
from service.logs import with_facts
from service.metrics import Metrics
from service.record import NO_DIALECT, Record

_log = logging.getLogger("service.request")

Trace = Callable[[Record, str | None], str]

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_QUIET = frozenset(
    {
        *("/healthz", "/readyz", "/metrics", "/health", "/ping", "/load"),
        *("/v2/health/live", "/v2/health/ready"),
    }
)
"""Asked for every few seconds by machines; logged at debug only."""


_BODY_SECONDS = 60
"""For a body to arrive; one that stalls would hold its connection for ever."""

_DROPPED_BODIES = 8
"""Times the limit on a body that are read and dropped before the connection is."""


class Edge:
    """Wraps the routes.

    Args:
        max_body_bytes: of one request; larger ones are answered without their routes.
        answer: turns an error into its response, given the path that was asked for.
        dialects: a route's template -> whose it is.
        trace: keeps a finished request's spans, given its `traceparent`; returns its trace's id.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        metrics: Metrics,
        answer: Callable[[ServiceError, str], Response],
        dialects: Mapping[str, str],
        trace: Trace | None = None,
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._metrics = metrics
        self._answer = answer
        self._dialects = dialects
        self._trace = trace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        record = Record(_request_id(headers), scope["method"])
        scope.setdefault("state", {})["record"] = record
        reply = _Reply(send, record)
        try:
            await self._handle(scope, receive, reply, record)
        finally:
            record.seconds = time.monotonic() - record.started
            record.route = getattr(scope.get("route"), "path", record.route)
            if record.dialect == NO_DIALECT:
                record.dialect = self._dialects.get(record.route, NO_DIALECT)
            self._tell(record, headers.get("traceparent"))

    def _tell(self, record: Record, traceparent: str | None) -> None:
        """Metrics, trace and log line of a finished request."""
        self._metrics.observe(record)
        quiet = record.route in _QUIET
        if self._trace and not quiet:
            record.trace_id = self._trace(record, traceparent)
        level = logging.DEBUG if quiet else logging.INFO
        _log.log(level, "request", extra=with_facts(record.facts()))

    async def _handle(
        self, scope: Scope, receive: Receive, reply: "_Reply", record: Record
    ) -> None:
        try:
            body = await self._read_body(scope, receive)
            record.body_bytes = len(body)
            await self._app(scope, _replay(body, receive), reply)
        except ServiceError as error:
            await self._end(error, scope, receive, reply, record)
        except asyncio.CancelledError:
            # Only the server's own end cancels a request: the time to drain has passed.
            late = Draining("this server shut down before it could answer", retry_after=1)
            await self._end(late, scope, receive, reply, record)
            raise
        except Exception as fault:  # noqa: BLE001 - the last resort
            _log.error("fault", extra=with_facts({"request_id": record.request_id}), exc_info=fault)
            fault_of_ours = InternalError(f"internal error; request id {record.request_id}")
            await self._end(fault_of_ours, scope, receive, reply, record)

    async def _end(
        self, error: ServiceError, scope: Scope, receive: Receive, reply: "_Reply", record: Record
    ) -> None:
        record.error = error.code
        if not reply.started:
            await self._answer(error, scope["path"])(scope, receive, reply)

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes:
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                chunks = await self._read_chunks(_announced(scope), receive)
        except TimeoutError:
            raise BodyTooSlow(f"the body was not whole after {_BODY_SECONDS} seconds") from None
        return b"".join(chunks)

    async def _read_chunks(self, announced: int, receive: Receive) -> list[bytes]:
        """What is over the limit is read on for a while and dropped: who is cut off while sending
        sees a broken connection, and not the answer that says why.
        """
        limit = self._max_body_bytes
        chunks: list[bytes] = []
        size, more = 0, True
        while more and max(size, announced) <= limit * _DROPPED_BODIES:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone("the client left before its request was whole")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            more = message.get("more_body", False)
            if max(size, announced) > limit:
                chunks.clear()
        if max(size, announced) > limit:
            raise BodyTooLarge(
                f"the body is larger than {limit} bytes, this server's limit (--max-body-bytes): "
                "split the request"
            )
        return chunks


class _Reply:
    """`send` that notes the status and puts the request's id on the response."""

    def __init__(self, send: Send, record: Record) -> None:
        self._send = send
        self._record = record
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self._record.status = message["status"]
            MutableHeaders(scope=message)["X-Request-Id"] = self._record.request_id
        await self._send(message)


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length[:18]) if length.isdecimal() else 0


def _replay(body: bytes, receive: Receive) -> Receive:
    """`receive` that gives the whole body first, then what the server says: a disconnect."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


def _request_id(headers: Headers) -> str:
    """The client's own, unless it is too long or not printable ASCII."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
