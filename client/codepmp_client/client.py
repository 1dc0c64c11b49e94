"""The two clients. They share all but sending, sleeping and running requests side by side."""

import asyncio
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field
from typing import Self

import httpx

from codepmp_client.errors import RewardError
from codepmp_client.exchange import PATH, Exchange, Reply, Send, Step
from codepmp_client.inputs import INTERACTIVE, Candidate, Input, Options, Prompt
from codepmp_client.results import Result
from codepmp_client.split import join, split
from codepmp_client.wire import Answer

_DAY = 24 * 60 * 60
"""Seconds; the server takes no longer timeout."""


@dataclass(eq=False)
class _Client:
    """What a call becomes, whoever sends it.

    Args:
        url: of the server, or of a path below which it answers.
        api_key: sent as `Authorization: Bearer`.
        timeout: seconds for a whole call, its retries included; a day at most.
        concurrency: requests under way at once.
        candidates_per_request: a call with more is sent as several requests. At most what the
            server takes (its --max-candidates).
    """

    url: str
    _: KW_ONLY
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    concurrency: int = 8
    candidates_per_request: int = 256

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError("the url must begin with http:// or https://")
        if self.concurrency < 1 or self.candidates_per_request < 1:
            raise ValueError("concurrency and candidates_per_request must be at least 1")
        _check(self.timeout)

    def _exchanges(
        self, inputs: Iterable[Input], options: Options, timeout: float | None
    ) -> list[Exchange]:
        seconds = self.timeout if timeout is None else timeout
        _check(seconds)
        deadline = time.monotonic() + seconds
        requests = split(list(inputs), self.candidates_per_request)
        return [Exchange(request, options, deadline) for request in requests]

    def _headers(self) -> dict[str, str]:
        if self.api_key is None:
            return {"User-Agent": "codepmp-client"}
        # A key read from a file often ends with the line's end, which no header may hold.
        key = self.api_key.strip()
        return {"User-Agent": "codepmp-client", "Authorization": f"Bearer {key}"}

    def _limits(self) -> httpx.Limits:
        most = self.concurrency
        return httpx.Limits(max_connections=most, max_keepalive_connections=most)


def _check(timeout: float) -> None:
    if not 0 < timeout <= _DAY:
        raise ValueError("the timeout must be more than 0 seconds, and a day at most")


def _results(exchanges: Sequence[Exchange], answers: Sequence[Answer]) -> list[Result]:
    return join([exchange.request for exchange in exchanges], answers)


@dataclass(eq=False)
class RewardClient(_Client):
    """Scores over HTTP, blocking; threads may share it. Close it, or use it in a `with`.

    Args:
        transport: of httpx, for proxies, certificates and sockets of your own.
    """

    _: KW_ONLY
    transport: httpx.BaseTransport | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._threads = ThreadPoolExecutor(self.concurrency, "codepmp-client")
        self._closing = threading.Event()
        self._http = httpx.Client(
            base_url=self.url,
            headers=self._headers(),
            limits=self._limits(),
            transport=self.transport,
        )

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
        """One result for each input, in order.

        Raises:
            RewardError: a request failed, so there is no result for its inputs.
        """
        exchanges = self._exchanges(inputs, options, timeout)
        if len(exchanges) == 1:
            return _results(exchanges, [self._run(exchanges[0])])
        return _results(exchanges, list(self._threads.map(self._run, exchanges)))

    def _run(self, exchange: Exchange) -> Answer:
        steps = exchange.steps()
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                answer: Answer = end.value
                return answer
            reply = self._do(step)

    def _do(self, step: Step) -> Reply:
        if not isinstance(step, Send):
            if self._closing.wait(step.seconds):
                raise RewardError("the client was closed before the next try")
            return None
        try:
            return self._http.post(
                PATH, content=step.content, headers=step.headers, timeout=step.timeout
            )
        except httpx.TransportError as error:
            return error

    def close(self) -> None:
        """What is being sent is waited for, what would be tried again is not."""
        self._closing.set()
        self._threads.shutdown(cancel_futures=True)
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(eq=False)
class AsyncRewardClient(_Client):
    """Scores over HTTP on one event loop. Close it, or use it in an `async with`.

    Args:
        transport: of httpx, for proxies, certificates and sockets of your own.
    """

    _: KW_ONLY
    transport: httpx.AsyncBaseTransport | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._turns = asyncio.Semaphore(self.concurrency)
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=self._headers(),
            limits=self._limits(),
            transport=self.transport,
        )

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
        """One result for each input, in order.

        Raises:
            RewardError: a request failed, so there is no result for its inputs. The others of
                this call are given up.
        """
        exchanges = self._exchanges(inputs, options, timeout)
        try:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(self._run(exchange)) for exchange in exchanges]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return _results(exchanges, [task.result() for task in running])

    async def _run(self, exchange: Exchange) -> Answer:
        async with self._turns:
            steps = exchange.steps()
            reply: Reply = None
            while True:
                try:
                    step = steps.send(reply)
                except StopIteration as end:
                    answer: Answer = end.value
                    return answer
                reply = await self._do(step)

    async def _do(self, step: Step) -> Reply:
        if not isinstance(step, Send):
            await asyncio.sleep(step.seconds)
            return None
        try:
            async with asyncio.timeout(step.seconds):
                return await self._http.post(
                    PATH, content=step.content, headers=step.headers, timeout=step.timeout
                )
        except httpx.TransportError as error:
            return error
        except TimeoutError:
            return httpx.ReadTimeout("the whole answer did not come in time")

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def client_of(client: AsyncRewardClient | str) -> AsyncRewardClient:
    """For adapters: a client, or the URL to make a patient one of."""
    return (
        client
        if isinstance(client, AsyncRewardClient)
        else AsyncRewardClient(client, timeout=_PATIENT)
    )


_PATIENT = 600.0
"""Seconds: a training run rather waits for a server that restarts than ends."""
