"""The client for an event loop."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Self

import httpx

from codepmp_client.base import BaseClient, results_of
from codepmp_client.exchange import PATH, Exchange, Reply, Send, Step
from codepmp_client.inputs import INTERACTIVE, Candidate, Input, Options, Prompt
from codepmp_client.results import Result
from codepmp_client.wire import ScoreResponse


@dataclass(eq=False)
class AsyncRewardClient(BaseClient):
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
        return results_of(exchanges, [task.result() for task in running])

    async def _run(self, exchange: Exchange) -> ScoreResponse:
        async with self._turns:
            steps = exchange.steps()
            reply: Reply = None
            while True:
                try:
                    step = steps.send(reply)
                except StopIteration as end:
                    answer: ScoreResponse = end.value
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
        except httpx.RequestError as error:
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
