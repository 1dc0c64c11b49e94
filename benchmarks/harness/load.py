"""Sends a trace to a server, so many requests at once, and keeps what came back and when."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import httpx

from benchmarks.inputs.dialects import Dialect, Scores
from benchmarks.inputs.texts import Texts

_PATIENCE = 600.0
"""Seconds for one answer; a slow server has a queue of hundreds."""


@dataclass(frozen=True)
class Reply:
    """Scores of one request, and the seconds from sending it to having its answer."""

    texts: Texts
    scores: Scores
    seconds: float


@dataclass(frozen=True)
class Replay:
    """Replies by their place in the trace, and seconds from the first request to the last answer.

    A place is missing when time was over before its request was sent.
    """

    replies: dict[int, Reply]
    seconds: float

    @property
    def sequences(self) -> int:
        return sum(len(reply.scores) for reply in self.replies.values())

    @property
    def tokens(self) -> int:
        """Tokens of all conversations scored; a shared prompt counts as often as it occurs."""
        return sum(reply.texts.tokens for reply in self.replies.values())

    @property
    def latencies(self) -> list[float]:
        return [reply.seconds for reply in self.replies.values()]


def replay(
    url: str, dialect: Dialect, trace: Sequence[Texts], at_once: int, seconds: float | None = None
) -> Replay:
    """`at_once` clients each send the next request; after `seconds` they send no more.

    Raises:
        httpx.HTTPError: the server did not answer, or answered with an error.
    """
    return asyncio.run(_replay(url, dialect, trace, at_once, seconds))


@dataclass
class _Clients:
    """Clients of one server, on one connection each; requests are built before the clock starts."""

    http: httpx.AsyncClient
    dialect: Dialect
    waiting: Iterator[tuple[int, Texts, httpx.Request]]
    replies: dict[int, Reply] = field(default_factory=dict)

    async def work(self, until: float) -> None:
        """One client: takes what waits until nothing does, or until it is too late."""
        while time.perf_counter() < until and (call := next(self.waiting, None)):
            place, texts, request = call
            sent = time.perf_counter()
            answer = await self.http.send(request)
            seconds = time.perf_counter() - sent
            scores = self.dialect.scores(answer.raise_for_status().content)
            self.replies[place] = Reply(texts, scores, seconds)


async def _replay(
    url: str, dialect: Dialect, trace: Sequence[Texts], at_once: int, seconds: float | None
) -> Replay:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(
        base_url=url, timeout=_PATIENCE, limits=limits, trust_env=False
    ) as http:
        calls = [
            (place, texts, http.build_request("POST", dialect.path, json=dialect.body(texts)))
            for place, texts in enumerate(trace)
        ]
        clients = _Clients(http, dialect, iter(calls))
        began = time.perf_counter()
        until = began + (float("inf") if seconds is None else seconds)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(calls))):
                group.create_task(clients.work(until))
        return Replay(clients.replies, time.perf_counter() - began)
