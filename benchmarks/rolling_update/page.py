"""The page on rolling updates: the outcome of every request."""

import time
from dataclasses import asdict, dataclass, field

from matplotlib.figure import Figure

from benchmarks.harness.ledger import Ledger
from benchmarks.harness.page import Page, verdict
from benchmarks.harness.stats import percentile

_MOST_CHANGE = 1e-4
"""Largest change of a text's score from one replica to another."""


@dataclass(frozen=True)
class Reply:
    """Asked for `at` seconds after the load began; a status, or why there was no answer."""

    at: float
    seconds: float
    outcome: str


@dataclass
class Journal:
    """The record of one update: every reply, every step with its time, how each process ended.

    Attributes:
        pause: seconds between the deletion of a replica and its SIGTERM.
    """

    pause: float
    began: float = field(default_factory=time.monotonic)
    replies: list[Reply] = field(default_factory=list)
    steps: list[tuple[float, str]] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def now(self) -> float:
        return time.monotonic() - self.began

    @property
    def lost(self) -> list[Reply]:
        return [reply for reply in self.replies if reply.outcome != "200"]

    @property
    def latencies(self) -> list[float]:
        return [reply.seconds for reply in self.replies if reply.outcome == "200"]

    def note(self, step: str) -> None:
        self.steps.append((self.now, step))
        print(f"{self.now:6.1f} s: a replica {step}, {len(self.replies)} answers", flush=True)

    def facts(self) -> dict[str, object]:
        return asdict(self) | {"ledger": {"largest_change": self.ledger.largest_change}}


def tell(page: Page, journals: list[Journal]) -> None:
    """A column for each update."""
    head = ["", *(f"{journal.pause:g} s of preStop" for journal in journals)]
    rows = {
        "requests answered 200": [str(len(each.latencies)) for each in journals],
        "refused or lost": [_outcomes(each) for each in journals],
        "p50, s": [f"{percentile(each.latencies, 0.5):.2f}" for each in journals],
        "p99, s": [f"{percentile(each.latencies, 0.99):.2f}" for each in journals],
        "exit codes of the replaced": [", ".join(map(str, each.exits)) for each in journals],
        "the update took, s": [f"{each.steps[-1][0] - each.steps[0][0]:.0f}" for each in journals],
    }
    page.table(head, [[name, *cells] for name, cells in rows.items()])


def judge(page: Page, journal: Journal) -> None:
    """Targets of the update as it is deployed."""
    change = journal.ledger.largest_change
    page.table(
        ["as deployed", "measured", "limit", ""],
        [
            ["requests not answered 200", len(journal.lost), 0, verdict(not journal.lost)],
            ["replicas that did not exit 0", _failed(journal), 0, verdict(not _failed(journal))],
            [
                f"largest change of a score, {journal.ledger.compared} times scored again",
                f"{change:.1e}",
                f"{_MOST_CHANGE:.0e}",
                verdict(journal.ledger.compared > 0 and change <= _MOST_CHANGE),
            ],
        ],
    )


def plot(journal: Journal) -> Figure:
    """Every answer by when it was asked for; lines where something was done."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    answered = [reply for reply in journal.replies if reply.outcome == "200"]
    axes.plot([r.at for r in answered], [r.seconds for r in answered], ".", markersize=3)
    for reply in journal.lost:
        axes.plot(reply.at, reply.seconds, "rx")
    for at, step in journal.steps:
        axes.axvline(at, color="grey", linewidth=0.6)
        axes.annotate(
            step, (at, 1), xycoords=("data", "axes fraction"), rotation=90, va="top", fontsize=7
        )
    axes.set(xlabel="seconds", ylabel="seconds until the answer", ylim=(0, None))
    return figure


def _outcomes(journal: Journal) -> str:
    outcomes = [reply.outcome for reply in journal.lost]
    return ", ".join(f"{outcomes.count(each)} x {each}" for each in sorted(set(outcomes))) or "0"


def _failed(journal: Journal) -> int:
    return sum(code != 0 for code in journal.exits)
