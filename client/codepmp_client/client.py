"""The blocking client."""

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass
from typing import Self

import httpx

from codepmp_client.base import BaseClient, results_of
from codepmp_client.errors import RewardError
from codepmp_client.exchange import PATH, Exchange, Reply, Send, Step
from codepmp_client.inputs import INTERACTIVE, Candidate, Input, Options, Prompt
from codepmp_client.results import Result
from codepmp_client.wire import ScoreResponse


@dataclass(eq=False)
class RewardClient(BaseClient):
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
            return results_of(exchanges, [self._run(exchanges[0])])
        return results_of(exchanges, list(self._threads.map(self._run, exchanges)))

    def _run(self, exchange: Exchange) -> ScoreResponse:
        steps = exchange.steps()
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                answer: ScoreResponse = end.value
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
        except httpx.RequestError as error:
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
