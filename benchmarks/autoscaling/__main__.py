"""Compares signals to scale on: a recorded trace, replayed to simulated replicas.

    python -m benchmarks.autoscaling [--log FILE.jsonl] [--write]

The trace is a service's own log, so yours will do (docs/autoscaling.md). Each request costs its
tokens over a replica's speed; replicas take time to start; the autoscaler is that of Kubernetes.
"""

import argparse
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.autoscaling.arrivals import Arrival, read_arrivals
from benchmarks.autoscaling.cluster import Cluster, multiply
from benchmarks.autoscaling.page import introduce, plot, report, report_curves
from benchmarks.autoscaling.scaling import (
    Autoscaler,
    Signal,
    busy,
    request_rate,
    under_way,
    work,
)
from benchmarks.autoscaling.simulation import Outcome, simulate
from benchmarks.harness.page import RESULTS, Page, add_output_options

_LOG = RESULTS / "2026-11-21-arrivals.jsonl.gz"
WORK_SECONDS, BUSY = 30.0, 0.7
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


def run(policy: Policy, arrivals: Sequence[Arrival], options: argparse.Namespace) -> Outcome:
    """One policy over the whole trace; the seed decides where each request goes."""
    outcome, _ = _run(policy, arrivals, options)
    return outcome


def _run(
    policy: Policy, arrivals: Sequence[Arrival], options: argparse.Namespace
) -> tuple[Outcome, list[tuple[float, int]]]:
    autoscaler = Autoscaler(policy.signals, options.min_replicas, options.max_replicas)
    return simulate(policy.name, arrivals, _cluster(options), autoscaler, options.min_replicas)


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
    introduce(page, recorded, arrivals, options)
    found = policies(arrivals, options.tokens_per_second)
    runs = [_run(policy, arrivals, options) for policy in found]
    most = runs[-1][0].max_replicas
    outcomes = [outcome for outcome, _ in runs] + [_fixed(most, arrivals, options)]
    report(page, outcomes)
    curves = {
        policy.name: [run(policy.times(factor), arrivals, options) for factor in _STRICTER]
        for policy in found
    }
    report_curves(page, curves, _STRICTER)
    _report_surge(page, surged(arrivals, options.surge), found, options)
    page.figure = plot(arrivals, runs, curves, options.tokens_per_second)
    page.write(options)


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
    report(page, [run(policy, arrivals, options) for policy in found], "surge")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.autoscaling", description=__doc__)
    parser.add_argument("--log", type=Path, default=_LOG, help="what a service logged")
    parser.add_argument("--stretch", type=float, default=10.0, help="of time")
    parser.add_argument("--copies", type=int, default=150, help="of each request")
    parser.add_argument("--shift", type=float, default=120.0, help="seconds between copies at most")
    parser.add_argument("--tokens-per-second", type=float, default=6000.0, help="of a replica")
    parser.add_argument("--startup", type=float, default=60.0, help="seconds until one is ready")
    parser.add_argument("--min-replicas", type=int, default=2, help="replicas")
    parser.add_argument("--max-replicas", type=int, default=24, help="replicas")
    parser.add_argument("--surge", type=int, default=4, help="times the load, suddenly")
    parser.add_argument("--seed", type=int, default=1)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
