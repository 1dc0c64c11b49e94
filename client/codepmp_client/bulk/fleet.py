"""Sends requests to one or several servers, no faster than each of them answers.

Stands below `AsyncRewardClient` as its transport, so that each try of a request may go to another
server, under the client's own retries and deadline. The number of requests in flight follows a
server's answers as TCP follows a network: one more for each round of answers, half of them after a
503 or 429, and none before `Retry-After` has passed (additive increase, multiplicative decrease).
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

import httpx

from codepmp_client.client import AsyncRewardClient
from codepmp_client.exchange import PATH
from codepmp_client.retry import retry_after

_FIRST_LIMIT = 4.0

# Seconds for which a server that cannot be reached is left out; they double with each failure.
_FIRST_OUTAGE, _LONGEST_OUTAGE = 0.5, 30.0

# Seconds. Of refusals that come together, the first one halves the limit for all of them.
_REFUSALS_TOGETHER = 0.5

# 504 is also the server's own answer to what it could not score in time.
_OVERLOADED = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


@dataclass(eq=False, slots=True)
class Server:
    """One server, and what its answers said about it.

    Attributes:
        limit: requests in flight that it takes, as far as is known.
        rest_until: before this no new request is sent to it; on `time.monotonic`.
        failures: in a row, of reaching it.
        answered: requests that it scored.
    """

    url: str
    limit: float
    in_flight: int = 0
    rest_until: float = 0.0
    halved_at: float = 0.0
    failures: int = 0
    answered: int = 0

    def is_resting(self) -> bool:
        return time.monotonic() < self.rest_until


class Fleet(httpx.AsyncBaseTransport):
    """Servers behind one transport.

    Args:
        urls: of the servers, or of paths below which they answer.
        concurrency: the maximum of requests in flight to one server.
        http: sends the requests, and is closed with the fleet.
    """

    def __init__(self, urls: Sequence[str], concurrency: int, http: httpx.AsyncClient) -> None:
        self._max_limit = float(concurrency)
        first = min(_FIRST_LIMIT, self._max_limit)
        self.servers = [Server(url.rstrip("/"), first) for url in dict.fromkeys(urls)]
        self.http = http
        self._admitted = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait until the servers take one more request; first come, first served."""
        if self._waiting or not self._has_room():
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            self._wake()
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave()
                raise
        else:
            self._admitted += 1
        try:
            yield
        finally:
            self._leave()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one try of a request to the server that has most room."""
        server = self._choose()
        url = httpx.URL(f"{server.url}/{PATH}")
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
        routed = httpx.Request(
            request.method,
            url,
            headers=[(b"Host", url.netloc), *headers],
            stream=request.stream,
            extensions=request.extensions,
        )
        server.in_flight += 1
        try:
            response = await self.http.send(routed)
        except httpx.TransportError:
            self._rest_unreachable(server)
            raise
        finally:
            server.in_flight -= 1
        self._learn(server, response)
        # It is read already, and decompressed.
        headers = [
            (name, value)
            for name, value in response.headers.raw
            if name.lower() not in (b"content-encoding", b"content-length", b"transfer-encoding")
        ]
        return httpx.Response(response.status_code, headers=headers, content=response.content)

    async def aclose(self) -> None:
        await self.http.aclose()

    def _learn(self, server: Server, response: httpx.Response) -> None:
        now = time.monotonic()
        if response.status_code in _OVERLOADED:
            pause = retry_after(response.headers, datetime.now(UTC))
            server.rest_until = max(server.rest_until, now + min(pause, _LONGEST_OUTAGE))
            if now - server.halved_at >= _REFUSALS_TOGETHER:
                server.limit = max(1.0, server.limit / 2)
                server.halved_at = now
        elif response.status_code == HTTPStatus.BAD_GATEWAY:
            self._rest_unreachable(server)
        else:
            if server.failures:
                # A try of a waiting request has found it there again.
                server.failures, server.rest_until = 0, 0.0
            server.answered += response.is_success
            # A whole round of answers adds one.
            server.limit = min(self._max_limit, server.limit + 1 / server.limit)
        self._wake()

    def _rest_unreachable(self, server: Server) -> None:
        if server.is_resting():
            return  # of the requests that were in flight, the first one has told it
        server.failures += 1
        outage = min(_LONGEST_OUTAGE, _FIRST_OUTAGE * 2.0 ** min(server.failures - 1, 10))
        server.rest_until = time.monotonic() + outage
        self._wake()

    def _choose(self) -> Server:
        """The server with most room among those that do not rest, or that rests least."""
        ready = [server for server in self.servers if not server.is_resting()]
        if ready:
            return min(ready, key=lambda server: server.in_flight / server.limit)
        return min(self.servers, key=lambda server: server.rest_until)

    def _has_room(self) -> bool:
        room = sum(int(server.limit) for server in self.servers if not server.is_resting())
        return self._admitted < room

    def _leave(self) -> None:
        self._admitted -= 1
        self._wake()

    def _wake(self) -> None:
        """Let waiting requests in as far as there is room, and come back when a rest is over."""
        while self._waiting and self._has_room():
            turn = self._waiting.popleft()
            if not turn.done():
                self._admitted += 1
                turn.set_result(None)
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        rests = [server.rest_until for server in self.servers if server.is_resting()]
        if self._waiting and rests:
            delay = max(0.01, min(rests) - time.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(delay, self._wake)


@asynccontextmanager
async def connected(
    urls: Sequence[str], *, api_key: str | None, concurrency: int, patience: float
) -> AsyncIterator[tuple[AsyncRewardClient, Fleet]]:
    """Open a client whose requests go to a fleet, and close both."""
    http = httpx.AsyncClient(limits=httpx.Limits(), timeout=30.0)
    fleet = Fleet(urls, concurrency, http)
    async with AsyncRewardClient(
        urls[0],
        api_key=api_key,
        timeout=patience,
        # The fleet decides.
        concurrency=max(1, len(urls) * concurrency),
        transport=fleet,
    ) as client:
        http.headers.update(client.http_options()["headers"])
        yield client, fleet
