"""Two replicas behind HAProxy are replaced under load, one after the other: is a request lost?

    python -m benchmarks.rolling_update --data ../shared/data [--model DIR] [--write]

The steps are a Deployment's (docs/upgrade.md): a new replica gets ready before an old one goes, and
an old one serves on for the preStop pause, because the proxy learns late that it leaves. Then the
same without the pause, to show what it is for.
"""

import argparse
import asyncio
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import yaml

from benchmarks.harness.page import Page, add_output_options
from benchmarks.harness.processes import Running, running
from benchmarks.harness.servers import ours
from benchmarks.inputs.mix import Order, Pool, make_pool
from benchmarks.inputs.texts import load_renderer
from benchmarks.rolling_update.page import Journal, Reply, judge, plot, tell
from benchmarks.rolling_update.proxy import Proxy, haproxy
from service.settings import DEFAULT_MODEL

_DEPLOYMENT = Path(__file__).parents[2] / "k8s" / "base" / "deployment.yaml"
_REPLICAS = 2
_KINDS = ("interactive", "bulk", "rollouts")
_TOKENS = 450
"""Most tokens of a conversation; prompts and answers take a third each."""
_PATIENCE = 60.0
_EXIT_SECONDS = 90.0
_STEADY = 5.0
"""Seconds of load before an update and after it."""


@dataclass(frozen=True)
class Client:
    """Asks again as soon as it is answered; never twice for the same."""

    http: httpx.AsyncClient
    pool: Pool
    journal: Journal
    over: Callable[[], bool]

    async def work(self, kind: str, seed: int) -> None:
        rng = random.Random(f"{kind} {seed}")
        while not self.over():
            await self._ask(self.pool.order(kind, rng))

    async def _ask(self, order: Order) -> None:
        at = self.journal.now
        try:
            answer = await self.http.post("/v1/score", json=order.body)
        except httpx.HTTPError as error:
            outcome = type(error).__name__
        else:
            outcome = str(answer.status_code)
            if answer.is_success:
                self.journal.ledger.enter(order, answer.content)
        self.journal.replies.append(Reply(at, self.journal.now - at, outcome))


@dataclass
class Replicas:
    """Those behind a proxy, by their slots. Of one thread."""

    model: str
    proxy: Proxy
    journal: Journal
    delay: float
    alive: dict[int, tuple[ExitStack, Running]] = field(default_factory=dict)

    def start(self, slots: range) -> None:
        """A replica gets requests once it is ready."""
        for slot in slots:
            stack = ExitStack()
            self.journal.note("starts")
            self.alive[slot] = stack, stack.enter_context(running(ours(self.model)))
            self.proxy.add(slot, self.alive[slot][1].url)
            self.journal.note("is ready")

    def roll(self) -> None:
        """The update, with some seconds before and after it."""
        time.sleep(_STEADY)
        for slot in range(1, _REPLICAS + 1):
            self.start(range(_REPLICAS + slot, _REPLICAS + slot + 1))
            self.end(slot)
        time.sleep(_STEADY)

    def end(self, slot: int) -> None:
        """After `delay` s the proxy knows of it, after the pause comes SIGTERM: whichever first."""
        stack, replica = self.alive.pop(slot)
        process = psutil.Process(replica.pid)
        self.journal.note("is to leave")
        with stack:
            began = time.monotonic()
            for due in sorted({self.delay, self.journal.pause}):
                time.sleep(max(0.0, began + due - time.monotonic()))
                if due == self.journal.pause:
                    process.send_signal(signal.SIGTERM)
                if due == self.delay:
                    self.proxy.remove(slot)
            code = process.wait(_EXIT_SECONDS)
            assert code is not None, "somebody else waited for it: how it ended is not known"
            self.journal.exits.append(code)
        self.journal.note("is gone")

    def close(self) -> None:
        for stack, _ in self.alive.values():
            stack.close()


async def update(replicas: Replicas, pool: Pool, clients: int) -> None:
    """Replaces all replicas, in a thread; requests are sent until that is done."""
    try:
        await asyncio.to_thread(replicas.start, range(1, _REPLICAS + 1))
        replicas.journal.began = time.monotonic()
        replicas.journal.steps.clear()
        rolling = asyncio.create_task(asyncio.to_thread(replicas.roll))
        url = replicas.proxy.url
        async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE, trust_env=False) as http:
            client = Client(http, pool, replicas.journal, rolling.done)
            async with asyncio.TaskGroup() as group:
                for kind in _KINDS:
                    for seed in range(clients):
                        group.create_task(client.work(kind, seed))
        await rolling
    finally:
        await asyncio.to_thread(replicas.close)


def measure(options: argparse.Namespace, pool: Pool, pause: float) -> Journal:
    journal = Journal(pause)
    with haproxy(2 * _REPLICAS) as proxy:
        replicas = Replicas(str(options.model), proxy, journal, options.delay)
        asyncio.run(update(replicas, pool, options.clients))
    return journal


def deployed_pause() -> float:
    """Seconds of the Deployment's preStop."""
    pod = yaml.safe_load(_DEPLOYMENT.read_text())["spec"]["template"]["spec"]
    return float(pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"])


def main() -> None:
    options = _options()
    page = Page("rolling-update", "A rolling update under load")
    pool = make_pool(load_renderer(options.model).writer(options.data), _TOKENS)
    journals = [measure(options, pool, pause) for pause in (deployed_pause(), 0.0)]
    page.say(
        f"{options.model.name}, {_REPLICAS} replicas behind HAProxy, which sends no request twice. "
        f"{options.clients} clients of each kind ({', '.join(_KINDS)}), who do not retry either. "
        f"A new replica gets ready, then an old one is to leave: the proxy knows {options.delay:g} "
        "s later, SIGTERM comes after the preStop pause. Where the pause is shorter, the replica "
        "refuses what still comes with 503 and Retry-After; nothing that it admitted is lost."
    )
    tell(page, journals)
    judge(page, journals[0])
    page.facts["updates"] = [journal.facts() for journal in journals]
    page.figure = plot(journals[0])
    page.write(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rolling_update", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="what is served")
    parser.add_argument("--clients", type=int, default=2, help="of each kind")
    parser.add_argument("--delay", type=float, default=2, help="seconds until the proxy knows")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
