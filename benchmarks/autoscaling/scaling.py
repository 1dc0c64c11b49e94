"""How many replicas Kubernetes' HorizontalPodAutoscaler asks for, given what it scales on.

The rule is that of its documentation: the sum over replicas, over the target of each; the largest
of several signals counts; nothing changes within a tolerance of a tenth.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from benchmarks.autoscaling.cluster import Observation

SYNC = 15.0
"""Seconds between two decisions, and between two scrapes."""
_TOLERANCE = 0.1
UP_PERIOD, UP_PODS, UP_FACTOR = 30.0, 4, 2.0
DOWN_PERIOD, DOWN_FACTOR = 60.0, 0.75
STABILIZATION = 600.0
"""Seconds before fewer replicas are believed."""
_REMEMBERED = 12
"""Scrapes; more than the longest window of a signal."""

History = deque[Observation]
"""One for each scrape, the newest last."""


@dataclass(frozen=True)
class Signal:
    """`read` gives the sum over all replicas; `target` is what one of them should have."""

    read: Callable[[History], float]
    target: float


def work(history: History) -> float:
    """`sum(reward_queue_work_seconds)`"""
    return history[-1].work


def under_way(history: History) -> float:
    return history[-1].under_way


def busy(history: History) -> float:
    """`sum(rate(reward_engine_busy_seconds_total[1m]))`

    Where a CPU computes, this is also the cores in use over those of a replica, as the metrics
    server has them.
    """
    first = _seconds_ago(history, 60.0)
    return (history[-1].busy - first.busy) / max(SYNC, history[-1].at - first.at)


def request_rate(history: History) -> float:
    """Requests in a second, over a minute."""
    first = _seconds_ago(history, 60.0)
    return (history[-1].requests - first.requests) / max(SYNC, history[-1].at - first.at)


def _seconds_ago(history: History, seconds: float) -> Observation:
    earliest = history[-1].at - seconds
    return next(seen for seen in history if seen.at >= earliest)


@dataclass
class Autoscaler:
    """Decides every `SYNC` seconds; the behaviour is that of k8s/, the same for every signal."""

    signals: tuple[Signal, ...]
    min_replicas: int
    max_replicas: int
    stabilization: float = STABILIZATION
    _seen: History = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _wanted: deque[tuple[float, int]] = field(default_factory=deque)
    _sizes: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def decide(self, current: int, seen: Observation) -> int:
        """Replicas from now on. What it acts on is a scrape old."""
        self._sizes.append((seen.at, current))
        wanted = (
            max(map(partial(self._wanted_by, current), self.signals)) if self._seen else current
        )
        self._seen.append(seen)
        self._wanted.append((seen.at, wanted))
        while self._wanted[0][0] < seen.at - self.stabilization:
            self._wanted.popleft()
        if wanted < current:
            wanted = min(current, max(count for _, count in self._wanted))
        return max(
            self.min_replicas, min(self.max_replicas, self._limited(current, wanted, seen.at))
        )

    def _wanted_by(self, current: int, signal: Signal) -> int:
        ratio = signal.read(self._seen) / (signal.target * current)
        return current if abs(ratio - 1) <= _TOLERANCE else math.ceil(current * ratio)

    def _limited(self, current: int, wanted: int, now: float) -> int:
        """By the policies: so many in a period, counted from its beginning."""
        if wanted > current:
            before = self._size_at(now - UP_PERIOD)
            return min(wanted, max(current, before + UP_PODS, int(before * UP_FACTOR)))
        before = self._size_at(now - DOWN_PERIOD)
        return max(wanted, min(current, math.floor(before * DOWN_FACTOR)))

    def _size_at(self, time: float) -> int:
        return next(count for at, count in self._sizes if at >= time)
