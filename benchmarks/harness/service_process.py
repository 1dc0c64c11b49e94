"""Our service as one client sees it: one that runs already, or our own, started and stopped."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from benchmarks.harness.processes import PATIENCE, running
from benchmarks.harness.servers import ours


@dataclass(frozen=True)
class Answer:
    """Raw scores in the order asked, None where there is none, and the tokens they stand for."""

    scores: list[float | None]
    tokens: int


@dataclass(frozen=True)
class Service:
    """A service that is ready."""

    client: httpx.Client

    def release(self) -> str:
        """Name and version of what is served."""
        served = self.client.get("/v1/models").raise_for_status().json()["data"][0]
        return f"{served['id']} {served['version']}"

    def score(self, prompt: str, candidates: Sequence[str]) -> Answer:
        """One request of the native dialect."""
        body = {"inputs": [{"prompt": prompt, "candidates": list(candidates)}]}
        answer = self.client.post("/v1/score", json=body).raise_for_status().json()
        (result,) = answer["results"]
        return Answer([row["score"] for row in result["scores"]], answer["usage"]["tokens"])


@dataclass(frozen=True)
class OwnService(Service):
    """`ready_after` is in seconds, from spawning the process until /readyz answered 200."""

    pid: int
    ready_after: float


@contextmanager
def service_at(url: str) -> Iterator[Service]:
    """A service that somebody else runs."""
    with _client(url) as client:
        yield Service(client)


@contextmanager
def own_service(model: str | None) -> Iterator[OwnService]:
    """`python -m service`, ready; serves the default release when `model` is None."""
    with running(ours(model)) as server, _client(server.url) as client:
        yield OwnService(client, server.pid, server.ready_after)


def _client(url: str) -> httpx.Client:
    """One connection for a whole run; a proxy from the environment would be measured too."""
    return httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False)
