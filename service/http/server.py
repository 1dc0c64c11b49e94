"""uvicorn that drains: on SIGTERM it goes on answering until what was admitted is finished."""

import asyncio
import errno
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.http.connection import Connection
from service.service import Service
from service.settings import Settings

_KEEP_ALIVE = 75
"""Seconds; longer than the pools of usual clients keep a connection, so that they close it."""

_MOST_HEAD_BYTES = 16 * 1024
"""Of a request's line and headers while they are not whole; more are answered 400."""

_LAST_WORDS = 1
"""Seconds for the answers to requests that were not admitted, or that the drain did not finish."""


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        h11_max_incomplete_event_size=_MOST_HEAD_BYTES,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_LAST_WORDS,
    )


class SideServer(uvicorn.Server):
    """Serves another app in the same process; signals are the main server's."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(_config(app))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class CannotListen(Exception):
    """The address is taken or not ours; the message says what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A socket on an address, before anything slow is begun.

    Raises:
        CannotListen: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        # Python adds an address to its own words; a host without one has the resolver's words.
        known = error.errno is not None and error.errno in errno.errorcode
        reason = os.strerror(error.errno or 0) if known else str(error)
        raise CannotListen(
            f"cannot listen on {host} port {port}: {reason}. "
            "Choose another --host or --port; port 0 takes any free one"
        ) from error
    # Connections inherit it. asyncio sets it only on sockets it made itself, and without it a body
    # waits 40 ms for the client to acknowledge the headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class Server(uvicorn.Server):
    """Watches its service, ten times a second, from uvicorn's own tick.

    Args:
        announce: called once when the service is ready, with the port it listens on.
        beside: a server that starts and ends with this one, and what it listens on.
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

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """First signal: drain. Second: end now. Neither is raised again: 0 means drained."""
        if self._drain_ends is None:
            self._service.begin_drain()
            self._last_requests = set(self.server_state.tasks)
            self._drain_ends = time.monotonic() + self._drain_seconds
        else:
            self._end(1)
            self.force_exit = sig == signal.SIGINT

    async def on_tick(self, counter: int) -> bool:
        if self._service.refusal:
            self._end(1)
        elif self._drain_ends is not None:
            self._watch_drain(self._drain_ends)
        elif self._announce and self._service.unready is None:
            self._announce(self._bound_port())
            self._announce = None
        return await super().on_tick(counter)

    def _watch_drain(self, ends: float) -> None:
        """Later requests are only told to go away, and would never cease to come.

        Earlier ones that were not admitted, such as a stalled upload, have a moment to be answered.
        """
        now = time.monotonic()
        self._idle_since = (self._idle_since or now) if self._service.admission.idle else None
        settled = self._idle_since is not None and now >= self._idle_since + _LAST_WORDS
        if settled or all(request.done() for request in self._last_requests):
            self._end(0)
        elif now >= ends:
            self._end(0 if self._service.admission.idle else 1)

    def _end(self, exit_code: int) -> None:
        if not self.should_exit:
            self.exit_code = exit_code
            self.should_exit = True

    def _bound_port(self) -> int:
        bound: socket.socket = self.servers[0].sockets[0]
        port: int = bound.getsockname()[1]
        return port
