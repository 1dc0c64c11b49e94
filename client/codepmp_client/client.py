"""The blocking and the asyncio client. Both run the same `Exchange`s and differ only in I/O."""

import asyncio
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field
from typing import Self, TypedDict

import httpx

from codepmp_client.errors import RewardError
from codepmp_client.exchange import PATH, Exchange, Reply, Send, Step
from codepmp_client.inputs import INTERACTIVE, Candidate, Input, Options, Prompt
from codepmp_client.results import Result
from codepmp_client.split import join, split
from codepmp_client.wire import ScoreResponse

# Seconds; the server accepts no longer timeout.
_MAX_TIMEOUT = 24 * 60 * 60

# Seconds. A server that restarts is ready again within this time, and a training run that waits
# for it loses less than one that ends.
_TRAINING_TIMEOUT = 600.0


class HttpOptions(TypedDict):
    """Arguments that httpx's blocking and asyncio clients share."""

    base_url: str
    headers: dict[str, str]
    limits: httpx.Limits


# Without `eq`, clients compare and hash by identity, so that they can be keys of a dictionary.
@dataclass(eq=False)
class BaseClient:
    """The part of both clients that does no I/O.

    Args:
        url: of the server, or of a path below which it answers.
        api_key: sent as `Authorization: Bearer`.
        timeout: seconds for a whole call with its retries; at most a day.
        concurrency: requests in flight at once.
        candidates_per_request: a call with more is sent as several requests. At most the server's
            --max-candidates.

    Raises:
        ValueError: an argument is out of range.
    """

    url: str
    _: KW_ONLY
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    concurrency: int = 8
    # Well below 1024, the server's default of --max-candidates.
    candidates_per_request: int = 256

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError("the url must begin with http:// or https://")
        if self.concurrency < 1 or self.candidates_per_request < 1:
            raise ValueError("concurrency and candidates_per_request must be at least 1")
        require_timeout(self.timeout)

    def http_options(self) -> HttpOptions:
        headers = {"User-Agent": "codepmp-client"}
        if self.api_key is not None:
            # A key that was read from a file often ends with a newline, which no header may hold.
            headers["Authorization"] = f"Bearer {self.api_key.strip()}"
        # A connection for each request in flight, all kept open: httpx keeps 20 by default.
        limits = httpx.Limits(
            max_connections=self.concurrency, max_keepalive_connections=self.concurrency
        )
        return {"base_url": self.url, "headers": headers, "limits": limits}

    def exchanges(
        self, inputs: Iterable[Input], options: Options, timeout: float | None
    ) -> list[Exchange]:
        """Split a call into requests, which share its deadline."""
        seconds = self.timeout if timeout is None else timeout
        require_timeout(seconds)
        deadline = time.monotonic() + seconds
        requests = split(list(inputs), self.candidates_per_request)
        return [Exchange(request, options, deadline) for request in requests]


def require_timeout(seconds: float) -> None:
    """Raise ValueError for a timeout that the server would not accept."""
    if not 0 < seconds <= _MAX_TIMEOUT:
        raise ValueError("the timeout must be more than 0 seconds, and a day at most")


@dataclass(eq=False)
class RewardClient(BaseClient):
    """Scores over HTTP, blocking; threads may share it. Close it, or use it in a `with`.

    Args:
        transport: httpx's, for proxies, certificates and sockets of your own.
    """

    _: KW_ONLY
    transport: httpx.BaseTransport | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._threads = ThreadPoolExecutor(self.concurrency, "codepmp-client")
        self._closing = threading.Event()
        self._http = httpx.Client(transport=self.transport, **self.http_options())

    def score(
        self,
        prompt: Prompt,
        candidates: Sequence[Candidate],
        options: Options = INTERACTIVE,
        *,
        timeout: float | None = None,
    ) -> Result:
        """Score the candidates of one prompt. `timeout` replaces the client's."""
        (result,) = self.score_many([Input(prompt, candidates)], options, timeout=timeout)
        return result

    def score_many(
        self,
        inputs: Iterable[Input],
        options: Options = INTERACTIVE,
        *,
        timeout: float | None = None,
    ) -> list[Result]:
        """Score many prompts; one result for each input, in order.

        Raises:
            RewardError: a request failed, so there are no results for its inputs.
        """
        exchanges = self.exchanges(inputs, options, timeout)
        if len(exchanges) == 1:
            # It runs on the caller's thread, which spares a hand-over.
            responses = [self._run(exchanges[0])]
        else:
            responses = list(self._threads.map(self._run, exchanges))
        return join([exchange.request for exchange in exchanges], responses)

    def _run(self, exchange: Exchange) -> ScoreResponse:
        steps = exchange.steps()
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                response: ScoreResponse = end.value
                return response
            reply = self._do(step)

    def _do(self, step: Step) -> Reply:
        if not isinstance(step, Send):
            # An event instead of `sleep`, so that closing the client ends the pause at once.
            if self._closing.wait(step.seconds):
                raise RewardError("the client was closed before the next try")
            return None
        try:
            return self._http.post(
                PATH, content=step.content, headers=step.headers, timeout=step.timeout
            )
        except httpx.RequestError as error:
            return error

    def close(self) -> None:
        """Wait for requests in flight and cancel everything that has not been sent."""
        # In this order: no retry begins any more, the threads finish, and then nobody uses httpx.
        self._closing.set()
        self._threads.shutdown(cancel_futures=True)
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(eq=False)
class AsyncRewardClient(BaseClient):
    """Scores over HTTP on one event loop. Close it, or use it in an `async with`.

    Args:
        transport: httpx's, for proxies, certificates and sockets of your own.
    """

    _: KW_ONLY
    transport: httpx.AsyncBaseTransport | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._in_flight = asyncio.Semaphore(self.concurrency)
        self._http = httpx.AsyncClient(transport=self.transport, **self.http_options())

    async def score(
        self,
        prompt: Prompt,
        candidates: Sequence[Candidate],
        options: Options = INTERACTIVE,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is sent to the server, too
    ) -> Result:
        """Score the candidates of one prompt. `timeout` replaces the client's."""
        (result,) = await self.score_many([Input(prompt, candidates)], options, timeout=timeout)
        return result

    async def score_many(
        self,
        inputs: Iterable[Input],
        options: Options = INTERACTIVE,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is sent to the server, too
    ) -> list[Result]:
        """Score many prompts; one result for each input, in order.

        Raises:
            RewardError: a request failed, so there are no results for its inputs. The other
                requests of this call are cancelled.
        """
        exchanges = self.exchanges(inputs, options, timeout)
        try:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(self._run(exchange)) for exchange in exchanges]
        except ExceptionGroup as failures:
            # The first failure is the cause; the others are tasks that it cancelled.
            raise failures.exceptions[0] from None
        responses = [task.result() for task in running]
        return join([exchange.request for exchange in exchanges], responses)

    async def _run(self, exchange: Exchange) -> ScoreResponse:
        # Held during pauses, too: more requests would not help a server that is overloaded.
        async with self._in_flight:
            steps = exchange.steps()
            reply: Reply = None
            while True:
                try:
                    step = steps.send(reply)
                except StopIteration as end:
                    response: ScoreResponse = end.value
                    return response
                reply = await self._do(step)

    async def _do(self, step: Step) -> Reply:
        if not isinstance(step, Send):
            await asyncio.sleep(step.seconds)
            return None
        try:
            # httpx's timeout starts anew with every byte that arrives; this one bounds them all.
            async with asyncio.timeout(step.seconds):
                return await self._http.post(
                    PATH, content=step.content, headers=step.headers, timeout=step.timeout
                )
        except httpx.RequestError as error:
            return error
        except TimeoutError:
            return httpx.ReadTimeout("the whole answer did not come in time")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def training_client(client: AsyncRewardClient | str) -> AsyncRewardClient:
    """Return the client itself, or for a URL a new one with a timeout that suits trainers."""
    if isinstance(client, AsyncRewardClient):
        return client
    return AsyncRewardClient(client, timeout=_TRAINING_TIMEOUT)
