"""The page on overload: targets, and which of them were met."""

from collections import Counter
from dataclasses import asdict, dataclass, field

from matplotlib.figure import Figure

from benchmarks.harness.page import Cell, Page, verdict
from benchmarks.harness.processes import Steady
from benchmarks.harness.stats import percentile

_REFUSED_MS = 50.0
_GOODPUT = 0.9
_MOST_RANGE = 1.1
_SLOWER = 2.0


@dataclass
class Outcomes:
    """Seconds of each request by how it ended, and candidates that were scored in time."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    sent: int = 0
    scored: int = 0

    def enter(self, outcome: str, seconds: float) -> None:
        self.seconds.setdefault(outcome, []).append(seconds)


@dataclass(frozen=True)
class Overloaded:
    """Candidates a second at the peak, and those scored in time beyond it.

    Attributes:
        before, after: the peak, measured twice.
        client: seconds of a core that the client took in one second of the overload.
    """

    before: float
    after: float
    goodput: float
    client: float
    outcomes: Outcomes

    @property
    def peak(self) -> float:
        return (self.before + self.after) / 2

    @property
    def ended(self) -> Counter[str]:
        return Counter({name: len(each) for name, each in self.outcomes.seconds.items()})

    @property
    def admitted(self) -> list[float]:
        """Seconds of what was not refused, answered or too late."""
        seconds = self.outcomes.seconds
        return [*seconds.get("200", ()), *seconds.get("504", ())]

    @property
    def lost(self) -> int:
        ended = self.ended
        return self.outcomes.sent - ended["200"] - ended["503"] - ended["504"]


@dataclass(frozen=True)
class Fairness:
    """Median seconds of one person's requests, alone and beside a flood of bulk work."""

    alone: float
    beside: float

    @property
    def slower(self) -> float:
        return self.beside / self.alone


def tell(page: Page, found: Overloaded, fair: Fairness) -> None:
    rows: list[list[Cell]] = [[name, number] for name, number in sorted(found.ended.items())]
    page.table(["ended with", "requests"], rows)
    page.say(
        f"Then one person asks for one candidate after the other: p50 {1000 * fair.alone:.0f} ms. "
        f"The same beside a flood of bulk candidates that wait: p50 {1000 * fair.beside:.0f} ms."
    )
    page.facts |= asdict(fair) | {
        "peak": (found.before, found.after),
        "goodput": found.goodput,
        "client_cores": found.client,
        "outcomes": found.ended,
    }


def judge(page: Page, found: Overloaded, fair: Fairness, memory: Steady, deadline: float) -> None:
    """Each thing that was asked, beside what was measured."""
    refused = 1000 * percentile(found.outcomes.seconds.get("503", [0.0]), 0.5)
    late = percentile(found.admitted, 0.99)
    goodput, held = found.goodput / found.peak, memory.max / memory.min
    judged: list[tuple[str, str, Cell, bool]] = [
        ("p99 of admitted, s", f"under {deadline:g}", late, late < deadline),
        ("p50 of refused, ms", f"under {_REFUSED_MS:g}", refused, refused < _REFUSED_MS),
        ("goodput / peak", f"at least {_GOODPUT:g}", goodput, goodput >= _GOODPUT),
        ("lost or answered otherwise", "0", found.lost, not found.lost),
        ("most / least memory", f"at most {_MOST_RANGE:g}", held, held <= _MOST_RANGE),
        ("p50 beside bulk / alone", f"at most {_SLOWER:g}", fair.slower, fair.slower <= _SLOWER),
    ]
    met = sum(holds for *_, holds in judged)
    page.say(f"Of {len(judged)} things asked, {met} were met:")
    rows: list[list[Cell]] = [[what, aim, got, verdict(holds)] for what, aim, got, holds in judged]
    page.table(["", "asked", "measured", ""], rows)
    page.say(f"Memory after the first minute: {memory.min:.0f} to {memory.max:.0f} MB.")
    page.facts |= {"memory": asdict(memory)}


def plot(outcomes: Outcomes, deadline: float) -> Figure:
    """How long requests took, by how they ended."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    for name, seconds in sorted(outcomes.seconds.items()):
        shares = [(place + 1) / len(seconds) for place in range(len(seconds))]
        axes.step(sorted(seconds), shares, label=f"{name}: {len(seconds)} requests")
    axes.axvline(deadline, color="grey", linestyle=":", label="deadline")
    axes.set(xlabel="seconds to the answer", ylabel="share of requests", xscale="log")
    axes.legend(fontsize="small")
    return figure
