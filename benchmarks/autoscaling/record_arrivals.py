"""A day of a service in minutes: its log, as the trace for `benchmarks.autoscaling`.

    python -m benchmarks.autoscaling.record_arrivals --data DATA --out FILE.jsonl.gz [--minutes 12]

Three kinds of clients ask, whether answered or not: people, one candidate at a time, more of them
at noon; applications that rerank 16 candidates, and 48 in the evening; and, in the afternoon, an RL
run that sends a step's rollouts at once.
"""

import argparse
import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.autoscaling.arrivals import read_arrivals, write_arrivals
from benchmarks.harness.processes import Launch, running
from benchmarks.harness.servers import ours
from benchmarks.inputs.corpus import Writer
from benchmarks.inputs.texts import load_renderer
from benchmarks.inputs.traces import Request, best_of
from service.settings import DEFAULT_MODEL

_PATIENCE = 1800.0
"""Seconds; what counts is when a request arrived, not how quick the machine was."""
_STEPS = 12
"""Steps of the RL run, evenly over its third of the day."""
_GROUPS = 4
"""Prompts of one step, with `_ROLLOUTS` answers each."""
_ROLLOUTS = 8
_EVENING = 0.7
"""Share of the day after which more candidates are reranked at a time."""


@dataclass(frozen=True)
class Day:
    """Draws what is sent when; `seconds` is how long the whole day takes."""

    writer: Writer
    rng: random.Random
    seconds: float

    def people(self) -> list[tuple[float, Request]]:
        return [
            (at, best_of(self.writer, self.rng, 100, 1))
            for at in self._arrivals(lambda share: 0.2 + 1.2 * math.sin(math.pi * share) ** 2)
        ]

    def reranking(self) -> list[tuple[float, Request]]:
        sent = []
        for at in self._arrivals(lambda share: 0.05 + 0.1 * math.sin(math.pi * share) ** 2):
            candidates = 48 if at > _EVENING * self.seconds else 16
            sent.append((at, best_of(self.writer, self.rng, 200, candidates)))
        return sent

    def reinforcement(self) -> list[tuple[float, Request]]:
        """Steps in the second half before the evening; a step's requests come together."""
        begins, ends = 0.45 * self.seconds, 0.65 * self.seconds
        starts = [begins + (ends - begins) * step / _STEPS for step in range(_STEPS)]
        return [
            (at, best_of(self.writer, self.rng, 100, _ROLLOUTS))
            for at in starts
            for _ in range(_GROUPS)
        ]

    def _arrivals(self, rate: Callable[[float], float]) -> list[float]:
        """A Poisson process whose rate per second depends on the share of the day, by thinning."""
        most = max(rate(step / 100) for step in range(101))
        at, found = 0.0, []
        while (at := at + self.rng.expovariate(most)) < self.seconds:
            if self.rng.random() < rate(at / self.seconds) / most:
                found.append(at)
        return found


async def send(url: str, requests: list[tuple[float, Request]]) -> None:
    """Each at its time; raises when one is not answered with its scores."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=url, timeout=_PATIENCE, limits=limits, trust_env=False
    ) as http:
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for at, request in sorted(requests, key=lambda due: due[0]):
                await asyncio.sleep(max(0.0, began + at - asyncio.get_running_loop().time()))
                group.create_task(_ask(http, request))


async def _ask(http: httpx.AsyncClient, request: Request) -> None:
    entry = {"prompt": request.prompt, "candidates": list(request.candidates)}
    (await http.post("/v1/score", json={"inputs": [entry]})).raise_for_status()


def main() -> None:
    options = _options()
    writer = load_renderer(options.model).writer(options.data)
    day = Day(writer, random.Random(options.seed), 60 * options.minutes)
    requests = day.people() + day.reranking() + day.reinforcement()
    with TemporaryDirectory() as folder:
        log = Path(folder, "service.log")
        with log.open("w+b") as sink, running(_launch(options.model), sink) as server:
            asyncio.run(send(server.url, requests))
        arrivals = read_arrivals(log)
    write_arrivals(arrivals, options.out)
    tokens = sum(arrival.tokens for arrival in arrivals)
    print(f"{len(arrivals)} requests, {tokens} tokens, {arrivals[-1].seconds:.0f} s")


def _launch(model: Path) -> Launch:
    """Logs every request, and computes each text: a score that was kept would cost nothing."""
    plain = ours(str(model))
    more = ("--log-level", "info", "--result-cache-bytes", "0")
    return Launch((*plain.command, *more), plain.ready)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.autoscaling.record_arrivals", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl.gz")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="what is served")
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
