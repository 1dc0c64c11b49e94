"""uvicorn as this service needs it: it listens, watches its service, and drains on SIGTERM.

While it drains, the server goes on answering until every request that was admitted is finished.
"""

import asyncio
import errno
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from service.http.connection import Connection
from service.service import Service
from service.settings import Settings

# Seconds. Longer than the pools of usual clients keep a connection, so that the client closes it
# and never sends a request on a connection that the server is about to close.
_KEEP_ALIVE_SECONDS = 75

# Connections that are accepted in one go. asyncio logs and retries so many times whenever file
# descriptors run out, so that a larger number fills the log and takes the loop's time.
_ACCEPTS_AT_ONCE = 1

# Connections that the kernel completes and holds until they are accepted.
_KERNEL_BACKLOG = 2048

# Seconds for the answers to requests that were not admitted, or that the drain did not finish.
_LAST_ANSWERS_SECONDS = 1


def _config(app: FastAPI) -> uvicorn.Config:
    async def app_until_cancelled(scope: Scope, receive: Receive, send: Send) -> None:
        # uvicorn cancels the requests that the drain did not finish. They are answered by then, so
        # there is no fault that it should log.
        with suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return uvicorn.Config(
        app_until_cancelled,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        backlog=_ACCEPTS_AT_ONCE,
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )


class SideServer(uvicorn.Server):
    """Serves another app in the same process, and leaves signals to the main server."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(_config(app))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class CannotListen(Exception):
    """The address is in use or not one of this machine; the message says what to do."""


class _Listener(socket.socket):
    """Keeps the kernel's queue long, however few connections asyncio accepts in one go."""

    def listen(self, backlog: int = _KERNEL_BACKLOG, /) -> None:
        super().listen(max(backlog, _KERNEL_BACKLOG))


def listen(host: str, port: int, flag: str = "--port") -> socket.socket:
    """Open a socket on an address, before anything slow is begun; `::` takes IPv4 as well.

    Args:
        flag: the setting that names the port.

    Raises:
        CannotListen: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        made = socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        # Python adds an address to its own words; a host without one has the resolver's words.
        known = error.errno is not None and error.errno in errno.errorcode
        reason = os.strerror(error.errno or 0) if known else str(error)
        raise CannotListen(
            f"cannot listen on {host} port {port}: {reason}. "
            f"Choose another --host or {flag}; port 0 takes any free one"
        ) from error
    listener = _Listener(fileno=made.detach())
    # Connections inherit this option. asyncio sets it only on sockets that it made itself, and
    # without it a body waits 40 ms for the client to acknowledge the headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class Server(uvicorn.Server):
    """Watches its service from uvicorn's own tick, ten times a second.

    Args:
        announce: called once when the service is ready, with the port that it listens on.
        beside: a server that starts and ends with this one, and the socket that it listens on.
    """

    def __init__(
        self,
        app: FastAPI,
        settings: Settings,
        announce: Callable[[int], None],
        beside: "tuple[SideServer, socket.socket] | None" = None,
    ) -> None:
        super().__init__(_config(app))
        self.exit_code = 0
        self._beside = beside
        self._side_task: asyncio.Task[None] | None = None
        self._service: Service = app.state.service
        self._announce: Callable[[int], None] | None = announce
        self._drain_seconds = settings.drain_seconds
        self._grace_seconds = min(settings.drain_grace_seconds, settings.drain_seconds)
        self._grace_ends: float | None = None
        self._drain_ends: float | None = None
        self._idle_since: float | None = None
        self._last_requests: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._beside:
            server, listener = self._beside
            self._side_task = asyncio.create_task(server.serve([listener]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._beside and self._side_task:
            self._beside[0].should_exit = True
            await self._side_task
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # A terminal that closes sends SIGHUP, which would end the process without a drain. Where
        # it is ignored (nohup), it stays ignored.
        before = signal.getsignal(signal.SIGHUP)
        if before is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self.handle_exit)
        with super().capture_signals():
            yield
        signal.signal(signal.SIGHUP, before)

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """Leave at the first signal and end at the second.

        uvicorn would raise the signal again after its end; here an exit code of 0 says that every
        admitted request was answered.
        """
        now = time.monotonic()
        if self._drain_ends is None:
            self._drain_ends = now + self._drain_seconds
            self._service.leave()
            # An orchestrator sends SIGTERM. Whoever interrupts at a terminal does not want to wait.
            if sig == signal.SIGTERM and self._grace_seconds:
                self._grace_ends = now + self._grace_seconds
            else:
                self._begin_drain()
        else:
            self._cut_short("by a second signal")
            self.force_exit = sig == signal.SIGINT

    async def on_tick(self, counter: int) -> bool:
        if self._service.refusal:
            self._end(1)
        elif self._grace_ends is not None:
            # Every answer closes its connection. When none is left, nobody is refused any more.
            if not self.server_state.connections or time.monotonic() >= self._grace_ends:
                self._grace_ends = None
                self._begin_drain()
        elif self._drain_ends is not None:
            self._end_when_drained(self._drain_ends)
        elif self._announce and self._service.unready is None:
            bound: socket.socket = self.servers[0].sockets[0]
            self._announce(bound.getsockname()[1])
            self._announce = None
        return await super().on_tick(counter)

    def _begin_drain(self) -> None:
        self._service.begin_drain()
        self._last_requests = set(self.server_state.tasks)

    def _end_when_drained(self, deadline: float) -> None:
        now = time.monotonic()
        self._idle_since = (self._idle_since or now) if self._service.admission.idle else None
        # Requests that came before the signal and are not admitted, such as a stalled upload, have
        # a moment to be answered. Later ones are only refused, and would never cease to come.
        settled = self._idle_since is not None and now >= self._idle_since + _LAST_ANSWERS_SECONDS
        if settled or all(request.done() for request in self._last_requests):
            self._end(0)
        elif now >= deadline:
            if self._service.admission.idle:
                self._end(0)
            else:
                self._cut_short(f"after {self._drain_seconds:g} seconds (--drain-seconds)")

    def _cut_short(self, reason: str) -> None:
        """End with requests that were admitted and are not finished; the last line says so."""
        admission = self._service.admission
        self._service.refusal = self._service.refusal or (
            f"The drain was cut short {reason}: {admission.requests} admitted requests were not "
            "finished. Their clients were answered 503."
        )
        self._end(1)

    def _end(self, exit_code: int) -> None:
        if not self.should_exit:
            self.exit_code = exit_code
            self.should_exit = True
