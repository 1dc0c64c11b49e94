"""Sends hostile requests to a served model, and watches what becomes of everybody else.

    python -m benchmarks.hostile [--model DIR] [--only NAME ...]

While each of them lasts, one client scores usual requests and another one asks `/healthz`. The
program exits with 1 if `/healthz` took more than a second, if the memory did not come back to
within 300 MB of what it was, or if scores stopped.
"""

import argparse
import asyncio
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx

from benchmarks.harness.page import Page, add_output_options, verdict
from benchmarks.harness.processes import Running, resident, running, watching
from benchmarks.harness.servers import ours
from benchmarks.hostile.shapes import SIZE, attack, attacks, prepare
from service.settings import DEFAULT_MODEL

_MAX_SILENCE = 1.0
"""Seconds that `/healthz` may take."""
_MAX_GROWTH = 300.0
"""Megabytes by which resident memory may be larger afterwards."""
_MAX_PAUSE = 5.0
"""Seconds between two scores of the client that asks usual requests."""

_SETTLE = 20.0
"""Seconds in which the memory has to come back."""
_BETWEEN_PROBES = 0.02
_USUAL = {"inputs": [{"prompt": "Add two numbers.", "candidates": ["a + b", "a - b", "a * b"]}]}


@dataclass
class Others:
    """Records what two usual clients see: seconds of each `/healthz`, and the times of scores."""

    silences: list[float] = field(default_factory=list)
    scored: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    async def probe(self, client: httpx.AsyncClient) -> None:
        while True:
            asked = time.perf_counter()
            answer = await client.get("/healthz")
            self.silences.append(time.perf_counter() - asked)
            if answer.status_code != httpx.codes.OK:
                self.faults[f"healthz {answer.status_code}"] += 1
            await asyncio.sleep(_BETWEEN_PROBES)

    async def score(self, client: httpx.AsyncClient) -> None:
        while True:
            answer = await client.post("/v1/score", json=_USUAL)
            if answer.status_code == httpx.codes.OK:
                self.scored.append(time.perf_counter())
            else:
                self.faults[f"score {answer.status_code}"] += 1
                await asyncio.sleep(_BETWEEN_PROBES)


@dataclass(frozen=True)
class Outcome:
    """Holds what an attack did; memory in MB (10^6 bytes)."""

    attack: str
    answers: dict[str, int]
    seconds: float
    silence: float
    before: float
    peak: float
    after: float
    scores_per_second: float
    pause: float
    faults: dict[str, int]

    @property
    def held(self) -> bool:
        return (
            self.silence <= _MAX_SILENCE
            and self.after - self.before <= _MAX_GROWTH
            and self.pause <= _MAX_PAUSE
        )


@asynccontextmanager
async def observed(url: str) -> AsyncIterator[Others]:
    others = Others()
    async with httpx.AsyncClient(base_url=url, timeout=300, trust_env=False) as client:
        tasks = [asyncio.create_task(work(client)) for work in (others.probe, others.score)]
        yield others
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                others.faults[type(result).__name__] += 1


async def suffer(server: Running, name: str, size: int, attacker: Executor) -> Outcome:
    """Let an attack happen and return what it did.

    Args:
        attacker: one process, so that the clients here see the server's pauses and not its own.
    """
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(attacker, prepare, name, size)
    before = resident(server.pid)
    with watching(server.pid, every=0.05) as memory:
        async with observed(server.url) as others:
            started = time.perf_counter()
            answers = await loop.run_in_executor(attacker, attack, server.url)
            ended = time.perf_counter()
            # Some work goes on after its client has gone.
            await asyncio.sleep(1)
    seconds = ended - started
    after, waited = resident(server.pid), 0.0
    while after - before > _MAX_GROWTH and waited < _SETTLE:
        await asyncio.sleep(0.5)
        after, waited = resident(server.pid), waited + 0.5
    times = [started, *others.scored, ended]
    return Outcome(
        attack=name,
        answers=dict(answers),
        seconds=seconds,
        silence=max(others.silences, default=seconds),
        before=before,
        peak=memory.max,
        after=after,
        scores_per_second=sum(moment <= ended for moment in others.scored) / seconds,
        pause=max(later - earlier for earlier, later in pairwise(times)),
        faults=dict(others.faults),
    )


def main() -> None:
    options = _options()
    page = Page("hostile", "Hostile requests")
    outcomes = []
    spawn = multiprocessing.get_context("spawn")
    attacker = ProcessPoolExecutor(1, mp_context=spawn)
    with running(ours(str(options.model))) as server, attacker:
        for name in options.only or attacks():
            outcomes.append(asyncio.run(suffer(server, name, options.size, attacker)))
            print(outcomes[-1], flush=True)
    report(page, outcomes, options.model.name)
    page.write(options)
    sys.exit(not all(outcome.held for outcome in outcomes))


def report(page: Page, outcomes: list[Outcome], model: str) -> None:
    page.say(
        f"{model}, with the service's default limits. Each attack comes from two clients at once "
        "unless its name says otherwise. A usual client scores three candidates at a time, and "
        f"another one asks `/healthz` every {_BETWEEN_PROBES * 1000:.0f} ms. An attack is "
        f"withstood if `/healthz` took at most {_MAX_SILENCE:g} s, memory came back to within "
        f"{_MAX_GROWTH:g} MB within {_SETTLE:g} s, and at most {_MAX_PAUSE:g} s passed between two "
        "scores of the usual client."
    )
    memory = ["MB before", "MB at most", "MB after"]
    page.table(
        ["attack", "answers", "s", "`/healthz` s", *memory, "scores/s", "longest pause s", ""],
        [
            [
                outcome.attack,
                ", ".join(f"{count} x {answer}" for answer, count in outcome.answers.items()),
                f"{outcome.seconds:.1f}",
                f"{outcome.silence:.2f}",
                *(
                    f"{megabytes:.0f}"
                    for megabytes in (outcome.before, outcome.peak, outcome.after)
                ),
                f"{outcome.scores_per_second:.0f}",
                f"{outcome.pause:.2f}",
                verdict(outcome.held),
            ]
            for outcome in outcomes
        ],
    )
    page.facts |= {"outcomes": [asdict(outcome) for outcome in outcomes]}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="what is served")
    parser.add_argument("--only", nargs="+", choices=list(attacks()), help="default: all attacks")
    parser.add_argument("--size", type=int, default=SIZE, help="bytes of a body")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
