"""The page of the serving benchmark: tables, aims and plot of a comparison."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from benchmarks.harness.page import Cell, Page, verdict
from benchmarks.harness.stats import Ratio
from benchmarks.inputs.traces import describe
from benchmarks.serving.comparison import OURS, Comparison

FASTER, SOONER = "tokens/s", "p50 latency"


@dataclass(frozen=True)
class Aim:
    """How many times as good as a peer we want to be on a trace."""

    peer: str
    trace: str
    by: str
    times: float

    def measure(self, found: Comparison) -> Ratio:
        how = found.faster if self.by == FASTER else found.sooner
        return how(self.peer, self.trace)


AIMS = (
    Aim("vLLM", "best-of-16 P=600", FASTER, 2.0),
    Aim("vLLM", "best-of-16 P=100", FASTER, 1.5),
    Aim("vLLM", "nothing shared", FASTER, 1.0),
    Aim("vLLM", "interactive", SOONER, 1.0),
    Aim("naive", "best-of-16 P=600", FASTER, 4.0),
    Aim("before", "best-of-16 P=600", FASTER, 0.97),
    Aim("before", "interactive", SOONER, 0.97),
)


def report(page: Page, found: Comparison) -> None:
    """Everything below the introduction."""
    page.say(
        f"Scores of the same texts by different servers are {found.gap:.1e} apart at most. "
        f"{describe(found.traces)} Candidates have 75 to 225 tokens, except in rollouts. Texts are "
        "GSM8K problems and models' solutions of them, others in every turn. Tokens are counted as "
        "sent, a shared prompt once for each candidate, whatever a server computes."
    )
    _report_rates(page, found)
    _report_processes(page, found)
    _judge(page, found)
    page.facts |= {"largest_gap": found.gap, "turns": _facts(found)}


def _report_rates(page: Page, found: Comparison) -> None:
    rows: list[list[Cell]] = []
    for trace in found.traces:
        for server in found.servers:
            row = found.row(server, trace)
            rates = [f"{row.sequence_rate:.2f}", f"{row.token_rate:.0f}"]
            waits = [f"{row.p50 * 1000:.0f}", f"{row.p99 * 1000:.0f}"]
            times = "" if server == OURS else str(found.faster(server, trace))
            rows.append([trace, server, *rates, *waits, times])
    head = ["sequences/s", "tokens/s", "p50 ms", "p99 ms", "ours / it, tokens/s"]
    page.table(["trace", "server", *head], rows)
    page.say(
        "Rates: median over turns. Latencies: over the requests of all turns. Ratios: of the same "
        "turn, median, least and greatest in brackets."
    )


def _report_processes(page: Page, found: Comparison) -> None:
    rows: list[list[Cell]] = []
    for server in found.servers:
        turns = found.turns(server)
        ready = [each.ready_after for each in turns if each.ready_after is not None]
        most = [each.megabytes for each in turns if each.megabytes is not None]
        if ready and most:
            rows.append([server, f"{max(most):.0f}", f"{min(ready):.1f}"])
    if rows:
        page.table(["server", "peak resident MB, all its processes", "start to ready, s"], rows)


def _judge(page: Page, found: Comparison) -> None:
    rows: list[list[Cell]] = []
    for aim in AIMS:
        if aim.peer in found.servers and aim.trace in found.traces:
            measured = aim.measure(found)
            against = f"{aim.by} against {aim.peer}"
            met = verdict(measured.median >= aim.times)
            rows.append([aim.trace, against, str(measured), f"{aim.times:.1f}", met])
    if rows:
        page.table(["trace", "", "times as good", "aim", ""], rows)


def _facts(found: Comparison) -> list[dict[str, object]]:
    return [
        {
            "server": each.server,
            "turn": each.turn,
            "ready_after": each.ready_after,
            "megabytes": each.megabytes,
            "traces": {
                name: {
                    "seconds": replay.seconds,
                    "sequences": replay.sequences,
                    "tokens": replay.tokens,
                    "latencies": replay.latencies,
                }
                for name, replay in each.replays.items()
            },
        }
        for each in found.measured
    ]


def plot(found: Comparison) -> Figure:
    """Tokens per second, a group of bars for each trace, a bar for each server."""
    figure = Figure(figsize=(8, 1 + 0.8 * len(found.traces)), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(found.servers)
    for place, server in enumerate(found.servers):
        rates = [found.row(server, trace).token_rate for trace in found.traces]
        rows = [group + width * place for group in range(len(rates))]
        axes.barh(rows, rates, 0.9 * width, label=server)
    middle = width * (len(found.servers) - 1) / 2
    axes.set_yticks([group + middle for group in range(len(found.traces))], found.traces)
    axes.invert_yaxis()
    axes.set_xlabel("tokens per second, counted as sent")
    axes.legend()
    return figure
