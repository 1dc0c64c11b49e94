"""A trace served by a simulated cluster, and what came of it."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.autoscaling.arrivals import Arrival
from benchmarks.autoscaling.cluster import Cluster
from benchmarks.autoscaling.scaling import SYNC, Autoscaler
from benchmarks.harness.stats import percentile

LATE = 10.0
"""Seconds; a request that takes longer is counted as late."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a whole trace: latencies in seconds, replicas, and replica hours paid for."""

    name: str
    p50: float
    p99: float
    late: float
    mean_replicas: float
    max_replicas: int
    changes: int
    replica_hours: float


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
        sum(seconds > LATE for seconds in latencies) / len(latencies),
        statistics.mean(counts),
        max(counts),
        sum(a != b for a, b in itertools.pairwise(counts)),
        paid / 3600,
    )
