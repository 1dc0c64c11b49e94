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

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import (
    Draining,
    InternalError,
    ServiceError,
)
from service.http.gate import Gate
from service.http.request_body import BodyBudget, RequestBody
from service.routes.shared.routing import is_probe
from service.telemetry.metrics import Metrics
from service.telemetry.request_record import NO_DIALECT, RequestRecord

_log = logging.getLogger("service.request")

Trace = Callable[[RequestRecord, str | None], str]

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


class RequestMiddleware:
    """ASGI middleware around the routes; it answers errors that no route has answered.

    Args:
        max_body_bytes: limit on one request; larger ones are answered without their route.
        body_advice: says what sets that limit, and what a client can do.
        max_bodies_bytes: limit on all bodies together while they are read and parsed.
        gate: decides who is let in, before a body is read.
        respond: makes the response to an error, given the path that was asked for.
        dialects: the dialect's name for each route's template.
        leaving: whether the server will soon end, so that every answer closes its connection.
        trace: keeps a finished request's spans, given its `traceparent`; returns the trace's id.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        max_bodies_bytes: int,
        metrics: Metrics,
        gate: Gate,
        respond: Callable[[ServiceError, str], Response],
        dialects: Mapping[str, str],
        leaving: Callable[[], bool] = lambda: False,
        body_advice: str = "this server's limit (--max-body-bytes): split the request",
        trace: Trace | None = None,
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._body_advice = body_advice
        # One body of the largest size always has room.
        self._budget = BodyBudget(max(max_bodies_bytes, max_body_bytes))
        self._metrics = metrics
        self._gate = gate
        self._respond = respond
        self._dialects = dialects
        self._leaving = leaving
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
        body = RequestBody(scope, receive, self._budget)
        # Whoever parses the body lets it go, long before the answer.
        scope["state"]["release_body"] = body.release
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
                if not body.complete or self._leaving():
                    # A client that sends without end would otherwise keep the connection open, and
                    # one that stays would be refused as soon as the server drains.
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
            with account.in_flight():
                await body.read(self._max_body_bytes, self._body_advice)
                record.body_bytes = len(body.content)
                await self._app(scope, body.replay, send_with_headers)
        except ServiceError as error:
            if not body.begun:
                await body.discard()
            await send_error(error)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            # Only the end of the server cancels a request: the time to drain has passed.
            await send_error(
                Draining("this server shut down before it could answer", retry_after=1)
            )
            raise
        except GeneratorExit:
            raise  # The event loop is gone, so nothing can be sent any more.
        except BaseException as fault:  # noqa: BLE001 - none may leave a request without an answer
            # Also what is no Exception, such as a panic of a library in Rust.
            facts = {"request_id": record.request_id}
            _log.error("fault", extra={"facts": facts}, exc_info=fault)
            await send_error(InternalError(f"internal error; request id {record.request_id}"))
        finally:
            body.close()
            # It would keep the request in a cycle, and what was asked in memory.
            del scope["state"]["release_body"]
