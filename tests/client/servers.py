"""Real servers on free ports: the service around a fake engine, and faults put before it."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.app import create_app
from service.settings import Settings
from tests.service.fakes import model


@dataclass(frozen=True)
class Drop:
    """The connection ends in the middle of an answer."""


@dataclass(frozen=True)
class Silence:
    """No answer ever comes."""


Fault = Response | Drop | Silence


def busy(status: int = 503, retry_after: str | None = "0") -> Response:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Response("<html>not now</html>", status, headers)


@dataclass
class Faulty:
    """Passes requests on to an app; the first ones meet a fault each instead.

    `headers` are those of all requests for scores.
    """

    app: ASGIApp
    faults: list[Fault]
    headers: list[Mapping[str, str]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    in_flight: int = 0
    max_in_flight: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/v1/score":
            await self.app(scope, receive, send)
            return
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        self.arrived.release()
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            await self._answer(scope, receive, send)
        finally:
            self.in_flight -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        match self.faults.pop(0) if self.faults else None:
            case None:
                await self.app(scope, receive, send)
            case Response() as response:
                await response(scope, receive, send)
            case Drop():
                length = [(b"content-length", b"10")]
                await send({"type": "http.response.start", "status": 200, "headers": length})
            case Silence():
                while (await receive())["type"] != "http.disconnect":
                    pass


@contextmanager
def serving(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """The URL of an app that runs in a thread; port 0 is any free one."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        # Its connections wait in the socket until the server takes them.
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def service(*faults: Fault, **settings: object) -> Iterator[tuple[str, Faulty]]:
    """A ready service, whose scores are numbers of tokens."""
    app = create_app(Settings.model_validate(settings), lambda _: model())
    faulty = Faulty(app, list(faults))
    with serving(faulty) as url:
        while httpx.get(f"{url}/readyz", trust_env=False).status_code != 200:
            pass
        yield url, faulty
