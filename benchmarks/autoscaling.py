"""What to scale on: a recorded trace, replayed to simulated replicas under several autoscalers.

    python -m benchmarks.autoscaling [--log FILE.jsonl] [--write]

The trace is a service's own log, so yours will do (docs/autoscaling.md). Each request costs its
tokens over a replica's speed; replicas take time to start; the autoscaler is that of Kubernetes.
"""

import argparse
import itertools
import random
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.arrivals import Arrival, read_arrivals
from benchmarks.cluster import Cluster, multiply
from benchmarks.page import RESULTS, Page, add_output_options
from benchmarks.scaling import (
    SYNC,
    Autoscaler,
    Signal,
    busy,
    request_rate,
    under_way,
    work,
)
from benchmarks.stats import percentile

_LOG = RESULTS / "2026-11-21-arrivals.jsonl.gz"
WORK_SECONDS, BUSY = 30.0, 0.7
_LATE = 10.0
"""Seconds; a request that takes longer is counted as late."""
_STRICTER = (0.7, 1.0, 1.4)
"""Factors on every policy's targets, for the plot of cost against latency."""


@dataclass(frozen=True)
class Policy:
    """Signals by what a replica should have of each."""

    name: str
    signals: tuple[Signal, ...]

    def times(self, factor: float) -> "Policy":
        scaled = (Signal(one.read, one.target * factor) for one in self.signals)
        return Policy(self.name, tuple(scaled))


@dataclass(frozen=True)
class Outcome:
    """Of a whole trace: seconds until an answer, replicas, and replica hours paid for."""

    name: str
    p50: float
    p99: float
    late: float
    mean_replicas: float
    most_replicas: int
    changes: int
    replica_hours: float


def policies(arrivals: Sequence[Arrival], speed: float) -> list[Policy]:
    """Each as one would set it who has seen the first quarter of the trace."""
    early = arrivals[: len(arrivals) // 4]
    seconds_each = statistics.mean(arrival.tokens for arrival in early) / speed
    return [
        Policy("CPU, where that is what computes", (Signal(busy, BUSY),)),
        Policy("requests a second", (Signal(request_rate, BUSY / seconds_each),)),
        Policy("requests under way", (Signal(under_way, WORK_SECONDS / seconds_each),)),
        Policy("work alone", (Signal(work, WORK_SECONDS),)),
        Policy("work and busy", (Signal(work, WORK_SECONDS), Signal(busy, BUSY))),
    ]


def simulate(
    name: str,
    arrivals: Sequence[Arrival],
    cluster: Cluster,
    autoscaler: Autoscaler | None,
    begin: int,
) -> tuple[Outcome, list[tuple[float, int]]]:
    """The outcome, and (seconds, replicas) at each decision."""
    cluster.begin(begin)
    latencies: list[float] = []
    sizes: list[tuple[float, int]] = []
    due = 0
    for tick in range(1, int(arrivals[-1].seconds / SYNC) + 2):
        now = tick * SYNC
        while due < len(arrivals) and arrivals[due].seconds < now:
            latencies.append(cluster.serve(arrivals[due]))
            due += 1
        cluster.pay(SYNC)
        count = len(cluster.replicas)
        sizes.append((now, count))
        if autoscaler:
            cluster.resize(autoscaler.decide(count, cluster.observe(now)), now)
    return _outcome(name, latencies, sizes, cluster.paid), sizes


def _outcome(
    name: str, latencies: list[float], sizes: list[tuple[float, int]], paid: float
) -> Outcome:
    counts = [count for _, count in sizes]
    return Outcome(
        name,
        percentile(latencies, 0.5),
        percentile(latencies, 0.99),
        sum(seconds > _LATE for seconds in latencies) / len(latencies),
        statistics.mean(counts),
        max(counts),
        sum(a != b for a, b in itertools.pairwise(counts)),
        paid / 3600,
    )


def run(policy: Policy, arrivals: Sequence[Arrival], options: argparse.Namespace) -> Outcome:
    """One policy over the whole trace; the seed decides where each request goes."""
    outcome, _ = _run(policy, arrivals, options)
    return outcome


def _run(
    policy: Policy, arrivals: Sequence[Arrival], options: argparse.Namespace
) -> tuple[Outcome, list[tuple[float, int]]]:
    autoscaler = Autoscaler(policy.signals, options.least, options.most)
    return simulate(policy.name, arrivals, _cluster(options), autoscaler, options.least)


def _fixed(count: int, arrivals: Sequence[Arrival], options: argparse.Namespace) -> Outcome:
    return simulate(f"always {count}", arrivals, _cluster(options), None, count)[0]


def _cluster(options: argparse.Namespace) -> Cluster:
    return Cluster(options.tokens_per_second, options.startup, random.Random(options.seed))


def main() -> None:
    options = _options()
    page = Page("autoscaling", "What to scale on")
    recorded = read_arrivals(options.log)
    arrivals = multiply(
        recorded,
        stretch=options.stretch,
        copies=options.copies,
        shift=options.shift,
        rng=random.Random(options.seed),
    )
    _introduce(page, recorded, arrivals, options)
    found = policies(arrivals, options.tokens_per_second)
    runs = [_run(policy, arrivals, options) for policy in found]
    most = runs[-1][0].most_replicas
    outcomes = [outcome for outcome, _ in runs] + [_fixed(most, arrivals, options)]
    _report(page, outcomes)
    curves = {
        policy.name: [run(policy.times(factor), arrivals, options) for factor in _STRICTER]
        for policy in found
    }
    _report_curves(page, curves)
    _report_surge(page, surged(arrivals, options.surge), found, options)
    page.figure = plot(arrivals, runs, curves, options.tokens_per_second)
    page.write(options)


def _introduce(
    page: Page,
    recorded: Sequence[Arrival],
    arrivals: Sequence[Arrival],
    options: argparse.Namespace,
) -> None:
    hours = arrivals[-1].seconds / 3600
    demand = sum(arrival.tokens for arrival in arrivals) / options.tokens_per_second / 3600
    page.say(
        f"Trace: {len(recorded)} requests that a service logged in {recorded[-1].seconds:.0f} s, "
        f"stretched {options.stretch:g} times, each {options.copies} times over, within "
        f"{options.shift:g} s: {len(arrivals)} requests in {hours:.1f} h, {demand:.1f} replica "
        f"hours of work at {options.tokens_per_second:g} tokens/s a replica. {options.least} to "
        f"{options.most} replicas, ready {options.startup:g} s after they are asked for; decisions "
        f"every {SYNC:g} s on metrics a scrape old; a request goes to a replica by chance."
    )


def _report(page: Page, outcomes: Sequence[Outcome], fact: str = "outcomes") -> None:
    head = ["scaled on", "p50 s", "p99 s", f"later than {_LATE:g} s", "replicas", "most", "changes"]
    page.table(
        [*head, "replica hours"],
        [
            [
                one.name,
                one.p50,
                one.p99,
                f"{one.late:.2%}",
                one.mean_replicas,
                one.most_replicas,
                one.changes,
                one.replica_hours,
            ]
            for one in outcomes
        ],
    )
    page.facts[fact] = [asdict(one) for one in outcomes]


def surged(arrivals: Sequence[Arrival], factor: int) -> list[Arrival]:
    """The same, but from the middle on everything comes so many times at once."""
    middle = arrivals[-1].seconds / 2
    return [
        arrival for arrival in arrivals for _ in range(factor if arrival.seconds > middle else 1)
    ]


def _report_surge(
    page: Page,
    arrivals: Sequence[Arrival],
    found: Sequence[Policy],
    options: argparse.Namespace,
) -> None:
    page.say(f"The same, but from the middle on everything comes {options.surge} times at once:")
    _report(page, [run(policy, arrivals, options) for policy in found], "surge")


def _report_curves(page: Page, curves: dict[str, list[Outcome]]) -> None:
    page.say(
        "Cost is comparable only at the same latency, so every target was also made stricter and "
        "laxer; p99 in seconds, then replica hours:"
    )
    page.table(
        ["targets times", *map(str, _STRICTER)],
        [
            [name, *(f"{one.p99:.1f} s, {one.replica_hours:.1f} h" for one in outcomes)]
            for name, outcomes in curves.items()
        ],
    )
    page.facts["curves"] = {name: [asdict(one) for one in found] for name, found in curves.items()}


def plot(
    arrivals: Sequence[Arrival],
    runs: Sequence[tuple[Outcome, list[tuple[float, int]]]],
    curves: dict[str, list[Outcome]],
    speed: float,
) -> Figure:
    """Replicas over the trace, with what the load alone would keep busy; cost against p99."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    above, below = figure.subplots(2, 1)
    minutes: dict[int, float] = {}
    for arrival in arrivals:
        minute = int(arrival.seconds // 60)
        minutes[minute] = minutes.get(minute, 0.0) + arrival.tokens / speed / 60
    above.fill_between(list(minutes), list(minutes.values()), color="lightgrey", label="load")
    for outcome, sizes in runs:
        above.step([at / 60 for at, _ in sizes], [count for _, count in sizes], label=outcome.name)
    above.set(xlabel="minutes", ylabel="replicas")
    above.legend(fontsize="small")
    for name, outcomes in curves.items():
        hours, p99 = [one.replica_hours for one in outcomes], [one.p99 for one in outcomes]
        below.plot(hours, p99, "o-", label=name)
    below.set(xlabel="replica hours", ylabel="p99, s", yscale="log")
    return figure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.autoscaling", description=__doc__)
    parser.add_argument("--log", type=Path, default=_LOG, help="what a service logged")
    parser.add_argument("--stretch", type=float, default=10.0, help="of time")
    parser.add_argument("--copies", type=int, default=150, help="of each request")
    parser.add_argument("--shift", type=float, default=120.0, help="seconds between copies at most")
    parser.add_argument("--tokens-per-second", type=float, default=6000.0, help="of a replica")
    parser.add_argument("--startup", type=float, default=60.0, help="seconds until one is ready")
    parser.add_argument("--least", type=int, default=2, help="replicas")
    parser.add_argument("--most", type=int, default=24, help="replicas")
    parser.add_argument("--surge", type=int, default=4, help="times the load, suddenly")
    parser.add_argument("--seed", type=int, default=1)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
