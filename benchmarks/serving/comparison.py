"""Compares servers on the same traces, turn by turn. Pure."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.harness.load import Replay, Reply
from benchmarks.harness.stats import Ratio, percentile, ratio

OURS = "ours"


@dataclass(frozen=True)
class Measured:
    """One turn of one server: its replay of each trace by name.

    `ready_after` in seconds and `megabytes`, the most its processes held, are of one we started.
    """

    server: str
    turn: int
    replays: dict[str, Replay]
    ready_after: float | None
    megabytes: float | None


@dataclass(frozen=True)
class Row:
    """One server on one trace, medians over turns; latencies in seconds over all turns."""

    sequence_rate: float
    token_rate: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Comparison:
    """Every turn of every server, and how far their scores are apart at most."""

    measured: list[Measured]
    gap: float

    @property
    def servers(self) -> list[str]:
        return list(dict.fromkeys(each.server for each in self.measured))

    @property
    def traces(self) -> list[str]:
        return list(self.measured[0].replays)

    def turns(self, server: str) -> list[Measured]:
        return sorted((m for m in self.measured if m.server == server), key=lambda m: m.turn)

    def row(self, server: str, trace: str) -> Row:
        replays = [each.replays[trace] for each in self.turns(server)]
        latencies = [seconds for each in replays for seconds in each.latencies]
        return Row(
            statistics.median(map(sequence_rate, replays)),
            statistics.median(map(token_rate, replays)),
            percentile(latencies, 0.5),
            percentile(latencies, 0.99),
        )

    def faster(self, peer: str, trace: str) -> Ratio:
        """How many times as many tokens per second as the peer we score."""
        return self._ratio(peer, trace, token_rate)

    def sooner(self, peer: str, trace: str) -> Ratio:
        """How many times as long as for ours one waits for the peer's answer, at the median."""
        wait = self._ratio(peer, trace, lambda each: percentile(each.latencies, 0.5))
        return Ratio(1 / wait.median, 1 / wait.high, 1 / wait.low)

    def _ratio(self, peer: str, trace: str, of: Callable[[Replay], float]) -> Ratio:
        ours, others = (
            [of(each.replays[trace]) for each in self.turns(name)] for name in (OURS, peer)
        )
        return ratio(ours, others)


def compare(measured: list[Measured], tolerance: float) -> Comparison:
    """Check that the same texts got the same scores from all.

    Raises:
        RuntimeError: they did not, so that comparing speeds would mean nothing.
    """
    ours = {each.turn: each for each in measured if each.server == OURS}
    gap = 0.0
    for each in measured:
        for trace, replay in each.replays.items():
            apart = _gap(ours[each.turn].replays[trace], replay)
            if not apart <= tolerance:
                raise RuntimeError(f"{trace}: scores of {each.server} and ours are {apart} apart")
            gap = max(gap, apart)
    return Comparison(measured, gap)


def sequence_rate(replay: Replay) -> float:
    return replay.sequences / replay.seconds


def token_rate(replay: Replay) -> float:
    return replay.tokens / replay.seconds


def _gap(ours: Replay, theirs: Replay) -> float:
    """Over the requests that both answered; infinite when a score is missing."""
    both = ours.replies.keys() & theirs.replies.keys()
    return max((_apart(ours.replies[i], theirs.replies[i]) for i in both), default=0.0)


def _apart(ours: Reply, theirs: Reply) -> float:
    return max(
        float("inf") if left is None or right is None else abs(left - right)
        for left, right in zip(ours.scores, theirs.scores, strict=True)
    )
