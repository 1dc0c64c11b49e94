"""The outermost layer of every request: its id, the gate, its body, its record, its last resort.

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

from service.errors import Draining, InternalError, ServiceError
from service.http.body import Body
from service.http.gate import Gate
from service.logs import with_facts
from service.telemetry.metrics import Metrics
from service.telemetry.request_record import NO_DIALECT, RequestRecord

_log = logging.getLogger("service.request")

Trace = Callable[[RequestRecord, str | None], str]

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_QUIET = frozenset(
    {
        *("/healthz", "/readyz", "/metrics", "/health", "/ping", "/load"),
        *("/v2/health/live", "/v2/health/ready"),
    }
)
"""Asked for every few seconds by machines; logged at debug only."""


class Edge:
    """Wraps the routes.

    Args:
        max_body_bytes: of one request; larger ones are answered without their routes.
        gate: says who may come in, before a body is read.
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
        gate: Gate,
        answer: Callable[[ServiceError, str], Response],
        dialects: Mapping[str, str],
        trace: Trace | None = None,
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._metrics = metrics
        self._gate = gate
        self._answer = answer
        self._dialects = dialects
        self._trace = trace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        record = RequestRecord(_request_id(headers), scope["method"])
        scope.setdefault("state", {})["record"] = record
        body = Body(scope, receive)
        reply = _Reply(send, record, body)
        try:
            await self._handle(scope, body, reply, record)
        finally:
            record.seconds = time.monotonic() - record.started
            record.route = getattr(scope.get("route"), "path", record.route)
            if record.dialect == NO_DIALECT:
                record.dialect = self._dialects.get(record.route, NO_DIALECT)
            self._tell(record, headers.get("traceparent"))

    def _tell(self, record: RequestRecord, traceparent: str | None) -> None:
        """Metrics, trace and log line of a finished request."""
        self._metrics.observe(record)
        quiet = record.route in _QUIET
        if self._trace and not quiet:
            record.trace_id = self._trace(record, traceparent)
        level = logging.DEBUG if quiet else logging.INFO
        _log.log(level, "request", extra=with_facts(record.facts()))

    async def _handle(
        self, scope: Scope, body: Body, reply: "_Reply", record: RequestRecord
    ) -> None:
        receive = body.receive
        try:
            with self._gate.enter(scope, record):
                content = await body.read(self._max_body_bytes)
                record.body_bytes = len(content)
                await self._app(scope, _replay(content, receive), reply)
        except ServiceError as error:
            if not body.begun:
                await body.drop()
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
        self,
        error: ServiceError,
        scope: Scope,
        receive: Receive,
        reply: "_Reply",
        record: RequestRecord,
    ) -> None:
        record.error = error.code
        if not reply.started:
            await self._answer(error, scope["path"])(scope, receive, reply)


class _Reply:
    """`send` that notes the status and puts the request's id on the response.

    An answer that comes before the body has ended is the connection's last: who sends without end
    would keep it open.
    """

    def __init__(self, send: Send, record: RequestRecord, body: Body) -> None:
        self._send = send
        self._record = record
        self._body = body
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self._record.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._record.request_id
            if not self._body.ended:
                headers["Connection"] = "close"
        await self._send(message)


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
