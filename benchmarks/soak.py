"""Minutes of mixed load on a served model: is memory flat, is anything lost, does a score change?

    python -m benchmarks.soak --data ../shared/data --minutes 10 [--model DIR]

Clients of six kinds ask without a pause. Every text is scored again and again in other company.
"""

import argparse
import asyncio
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from matplotlib.figure import Figure

from benchmarks.harness.ledger import Ledger
from benchmarks.harness.page import Cell, Page, add_output_options, verdict
from benchmarks.harness.processes import Memory, running, settle, watching
from benchmarks.harness.servers import ours
from benchmarks.inputs.mix import KINDS, Order, Pool, make_pool
from benchmarks.inputs.texts import load_renderer
from service.settings import DEFAULT_MODEL

_PATIENCE = 60.0
"""Seconds without an answer after which a request is lost."""

_AWAY = 1.0
"""Seconds until a client that left asks again."""

_MOST_SLOPE = 0.005
"""Growth per minute after the first one, as a share of what is resident then."""
_MOST_RANGE = 1.1
"""Most over least resident, after the first minute."""


@dataclass(frozen=True)
class Load:
    """Clients of one server, until it is time to stop."""

    http: httpx.AsyncClient
    pool: Pool
    ledger: Ledger
    until: float

    async def work(self, kind: str, seed: int) -> None:
        """One client: asks again as soon as it is answered."""
        rng = random.Random(f"{kind} {seed}")
        while time.monotonic() < self.until:
            await self._ask(self.pool.order(kind, rng))

    async def _ask(self, order: Order) -> None:
        try:
            async with asyncio.timeout(order.leave_after):
                answer = await self.http.post("/v1/score", json=order.body)
        except TimeoutError:
            self.ledger.left += 1
            await asyncio.sleep(_AWAY)
        except httpx.HTTPError as error:
            self.ledger.faults[f"{order.kind}: {type(error).__name__}"] += 1
        else:
            await self._enter(order, answer)

    async def _enter(self, order: Order, answer: httpx.Response) -> None:
        """Overload is answered, not lost; the client comes back when it was told to."""
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self.ledger.refused += 1
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        elif answer.status_code != httpx.codes.OK:
            self.ledger.faults[f"{order.kind}: {answer.status_code}"] += 1
        else:
            self.ledger.enter(order, answer.content)


async def soak(url: str, pool: Pool, seconds: float, clients: int) -> Ledger:
    """`clients` of every kind for so long; all that was asked is waited for."""
    ledger = Ledger()
    async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE, trust_env=False) as http:
        load = Load(http, pool, ledger, time.monotonic() + seconds)
        async with asyncio.TaskGroup() as group:
            for kind in KINDS:
                for seed in range(clients):
                    group.create_task(load.work(kind, seed))
    return ledger


def main() -> None:
    options = _options()
    page = Page("soak", "Minutes of mixed load")
    renderer = load_renderer(options.model)
    pool = make_pool(renderer.writer(options.data), renderer.encoder.max_tokens)
    seconds = 60 * options.minutes
    with running(ours(str(options.model))) as server, watching(server.pid, every=1.0) as memory:
        ledger = asyncio.run(soak(server.url, pool, seconds, options.clients))
    page.say(
        f"{options.model.name}, {options.minutes:g} minutes, {options.clients} clients of each "
        f"kind, without a pause: {', '.join(KINDS)}."
    )
    _report_requests(page, ledger)
    _judge(page, ledger, memory, options)
    page.figure = plot(memory)
    page.write(options)


def _report_requests(page: Page, ledger: Ledger) -> None:
    rows: list[list[Cell]] = [[kind, ledger.answered[kind]] for kind in KINDS]
    rows += [["left before the answer", ledger.left], ["refused with Retry-After", ledger.refused]]
    rows += [[fault, count] for fault, count in ledger.faults.items()]
    page.table(["requests", "number"], rows)
    page.facts |= {
        "answered": ledger.answered,
        "left": ledger.left,
        "refused": ledger.refused,
        "faults": ledger.faults,
        "compared": ledger.compared,
        "largest_change": ledger.largest_change,
    }


def _judge(page: Page, ledger: Ledger, memory: Memory, options: argparse.Namespace) -> None:
    lost, change = ledger.faults.total(), ledger.largest_change
    steady = settle(memory)
    page.table(
        ["", "measured", "limit", ""],
        [
            ["requests lost or answered wrong", lost, 0, verdict(not lost)],
            [
                f"largest change of a score, {ledger.compared} times scored again",
                f"{change:.1e}",
                f"{options.epsilon:.0e}",
                verdict(change <= options.epsilon and ledger.compared > 0),
            ],
            [
                "growth of resident memory per minute",
                f"{steady.growth:+.2%}",
                f"{_MOST_SLOPE:.1%}",
                verdict(steady.growth <= _MOST_SLOPE),
            ],
            [
                "most over least resident",
                f"{steady.max / steady.min:.3f}",
                f"{_MOST_RANGE}",
                verdict(steady.max <= _MOST_RANGE * steady.min),
            ],
        ],
    )
    page.say(f"Memory after the first minute: {steady.min:.0f} to {steady.max:.0f} MB.")
    page.facts |= {"memory": asdict(steady), "samples": memory.samples}


def plot(memory: Memory) -> Figure:
    """Resident memory over minutes, from zero, so that flat looks flat."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([seconds / 60 for seconds, _ in memory.samples], [mb for _, mb in memory.samples])
    axes.set(xlabel="minutes", ylabel="resident memory, MB", ylim=(0, 1.1 * memory.max))
    return figure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="what is served")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=2, help="of each kind")
    parser.add_argument("--epsilon", type=float, default=1e-4, help="by which a score may change")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
