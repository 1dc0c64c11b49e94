"""What both clients are: all but sending, sleeping and running requests side by side."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field

import httpx

from codepmp_client.exchange import Exchange
from codepmp_client.inputs import Input, Options
from codepmp_client.results import Result
from codepmp_client.split import join, split
from codepmp_client.wire import ScoreResponse

_DAY = 24 * 60 * 60
"""Seconds; the server takes no longer timeout."""


@dataclass(eq=False)
class BaseClient:
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


def results_of(exchanges: Sequence[Exchange], answers: Sequence[ScoreResponse]) -> list[Result]:
    return join([exchange.request for exchange in exchanges], answers)
