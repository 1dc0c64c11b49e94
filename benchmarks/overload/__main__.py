"""Five times what a server can do, for minutes; and a few people beside a flood of bulk work.

    python -m benchmarks.overload --data ../shared/data [--model DIR] [--minutes 2]

First its peak is measured, by clients that wait for their answers as long as it takes. Then
requests come at a fixed multiple of it, whether answered or not, each with a deadline. Then its
peak once more: machines are seldom as fast after minutes as they were before.
"""

import argparse
import asyncio
import itertools
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.harness.page import Page, add_output_options
from benchmarks.harness.processes import Running, running, settle, watching
from benchmarks.harness.servers import ours
from benchmarks.harness.stats import percentile
from benchmarks.inputs.mix import Pool, make_pool
from benchmarks.inputs.texts import load_renderer
from benchmarks.overload.page import Fairness, Outcomes, Overloaded, judge, plot, tell
from service.settings import DEFAULT_MODEL

_CANDIDATES = 8
_TOKENS = 450
"""Most tokens of a conversation; prompts and answers take a third each."""
_CLIENTS = 16
_PEAK_SECONDS = 20.0
_PATIENCE = 60.0
"""Seconds without an answer after which a request is lost."""
_FLOOD = 10_000
_PEOPLE_SECONDS = 30.0


@dataclass(frozen=True)
class Asker:
    """Asks one server, for texts that it has not seen: nothing may come from its result cache.

    Attributes:
        deadline: seconds; None waits as long as it takes.
    """

    http: aiohttp.ClientSession
    pool: Pool
    outcomes: Outcomes
    deadline: float | None
    serial: "itertools.count[int]" = field(default_factory=itertools.count)

    def body(self, candidates: int, priority: str = "interactive") -> dict[str, object]:
        number = next(self.serial)
        texts = self.pool.pairs[number % len(self.pool.pairs)]
        chosen = itertools.islice(itertools.cycle(texts.candidates), candidates)
        fresh = [f"{number} {place} {text}" for place, text in enumerate(chosen)]
        return {"inputs": [{"prompt": texts.prompt, "candidates": fresh}], "priority": priority}

    async def ask(self, candidates: int) -> None:
        body = self.body(candidates)
        if self.deadline is not None:
            body["timeout_ms"] = int(1000 * self.deadline)
        self.outcomes.sent += 1
        sent = time.perf_counter()
        outcome = await self.post(body)
        self.outcomes.enter(outcome, time.perf_counter() - sent)
        if outcome == "200":
            self.outcomes.scored += candidates

    async def post(self, body: dict[str, object]) -> str:
        """The status of the answer, once it is read whole; or why there is none."""
        try:
            async with self.http.post("/v1/score", json=body) as answer:
                await answer.read()
                return str(answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__


async def peak(asker: Asker) -> float:
    """Candidates a second that clients get who wait for their answers."""
    until = time.perf_counter() + _PEAK_SECONDS

    async def client() -> None:
        while time.perf_counter() < until:
            await asker.ask(_CANDIDATES)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(_CLIENTS):
            group.create_task(client())
    return asker.outcomes.scored / (time.perf_counter() - began)


async def overload(asker: Asker, requests_per_second: float, seconds: float) -> float:
    """Poisson arrivals; returns candidates a second that were scored in time."""
    rng, began = random.Random("overload"), time.perf_counter()
    due = began
    async with asyncio.TaskGroup() as group:
        while due < began + seconds:
            due += rng.expovariate(requests_per_second)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(asker.ask(_CANDIDATES))
    return asker.outcomes.scored / (time.perf_counter() - began)


async def people(asker: Asker) -> None:
    """One person after the other, each with one candidate and a moment to read the answer."""
    until = time.perf_counter() + _PEOPLE_SECONDS
    while time.perf_counter() < until:
        await asker.ask(1)
        await asyncio.sleep(0.05)


async def flood(asker: Asker) -> list[asyncio.Task[str]]:
    """Ten thousand bulk candidates that wait."""
    bodies = [asker.body(1000, "bulk") for _ in range(_FLOOD // 1000)]
    return [asyncio.create_task(asker.post(body)) for body in bodies]


def client(url: str) -> aiohttp.ClientSession:
    """Takes less than half the time that httpx does; the server needs it on the same machine."""
    limits = aiohttp.TCPConnector(limit=0)
    patience = aiohttp.ClientTimeout(total=_PATIENCE)
    return aiohttp.ClientSession(url, connector=limits, timeout=patience)


async def measure_overload(server: Running, pool: Pool, options: argparse.Namespace) -> Overloaded:
    async with client(server.url) as http:
        serial = itertools.count()
        before = await peak(Asker(http, pool, Outcomes(), None, serial))
        asker = Asker(http, pool, Outcomes(), options.deadline, serial)
        rate = options.times * before / _CANDIDATES
        began, used = time.perf_counter(), time.process_time()
        goodput = await overload(asker, rate, 60 * options.minutes)
        share = (time.process_time() - used) / (time.perf_counter() - began)
        after = await peak(Asker(http, pool, Outcomes(), None, serial))
    return Overloaded(before, after, goodput, share, asker.outcomes)


async def measure_fairness(server: Running, pool: Pool, deadline: float) -> tuple[Outcomes, ...]:
    async with client(server.url) as http:
        alone = Asker(http, pool, Outcomes(), deadline, itertools.count(10**6))
        await people(alone)
        beside = Asker(http, pool, Outcomes(), deadline, alone.serial)
        flooding = await flood(beside)
        await people(beside)
        for task in flooding:
            task.cancel()
        await asyncio.gather(*flooding, return_exceptions=True)
    return alone.outcomes, beside.outcomes


def main() -> None:
    options = _options()
    page = Page("overload", "Overload, and fairness")
    renderer = load_renderer(options.model)
    pool = make_pool(renderer.writer(options.data), _TOKENS)
    with running(ours(str(options.model))) as server:
        with watching(server.pid, every=1.0) as memory:
            found = asyncio.run(measure_overload(server, pool, options))
        alone, beside = asyncio.run(measure_fairness(server, pool, options.deadline))
    fair = Fairness(*(percentile(each.seconds["200"], 0.5) for each in (alone, beside)))
    page.say(
        f"{options.model.name}; {_CANDIDATES} candidates a request. Peak: {found.before:.0f} "
        f"candidates/s for {_CLIENTS} clients that wait, and {found.after:.0f} in the end. In "
        f"between {options.times:g} times the first for {options.minutes:g} minutes, at random "
        f"times, each request with a deadline of {options.deadline:g} s. The client runs on the "
        f"same machine and took {found.client:.0%} of one core."
    )
    tell(page, found, fair)
    judge(page, found, fair, settle(memory), options.deadline)
    page.figure = plot(found.outcomes, options.deadline)
    page.write(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="what is served")
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--times", type=float, default=5, help="the peak")
    parser.add_argument("--deadline", type=float, default=5, help="seconds of each request")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
