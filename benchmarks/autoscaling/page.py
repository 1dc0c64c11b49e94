"""The page on autoscaling: tables of outcomes, and replicas over the trace."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from matplotlib.figure import Figure

from benchmarks.autoscaling.arrivals import Arrival
from benchmarks.autoscaling.scaling import SYNC
from benchmarks.autoscaling.simulation import LATE, Outcome
from benchmarks.harness.page import Page


def introduce(
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
        f"hours of work at {options.tokens_per_second:g} tokens/s a replica. "
        f"{options.min_replicas} to {options.max_replicas} replicas, ready {options.startup:g} s "
        f"after they are asked for; decisions every {SYNC:g} s on metrics a "
        "scrape old; a request goes to a replica by chance."
    )


def report(page: Page, outcomes: Sequence[Outcome], fact: str = "outcomes") -> None:
    head = ["scaled on", "p50 s", "p99 s", f"later than {LATE:g} s", "replicas", "most", "changes"]
    page.table(
        [*head, "replica hours"],
        [
            [
                one.name,
                one.p50,
                one.p99,
                f"{one.late:.2%}",
                one.mean_replicas,
                one.max_replicas,
                one.changes,
                one.replica_hours,
            ]
            for one in outcomes
        ],
    )
    page.facts[fact] = [asdict(one) for one in outcomes]


def report_curves(page: Page, curves: dict[str, list[Outcome]], factors: Sequence[float]) -> None:
    """By policy, an outcome for each factor on its targets."""
    page.say(
        "Cost is comparable only at the same latency, so every target was also made stricter and "
        "laxer; p99 in seconds, then replica hours:"
    )
    page.table(
        ["targets times", *map(str, factors)],
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
