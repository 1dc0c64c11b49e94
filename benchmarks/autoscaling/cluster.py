"""Replicas of a service, simulated: each works off its requests in turn, at a known speed."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.autoscaling.arrivals import Arrival


@dataclass
class Replica:
    """`until` is when all that it was given is done; `finishes` of what is under way."""

    ready_at: float
    until: float = 0.0
    finishes: deque[float] = field(default_factory=deque)

    def backlog(self, now: float) -> float:
        """Seconds of work that it still has."""
        return max(0.0, self.until - now)

    def under_way(self, now: float) -> int:
        while self.finishes and self.finishes[0] <= now:
            self.finishes.popleft()
        return len(self.finishes)


@dataclass(frozen=True)
class Observation:
    """The metrics of all replicas together.

    Attributes:
        work: seconds of work that wait.
        under_way: requests that are not answered.
        busy, requests: totals since the beginning, in seconds and numbers.
    """

    at: float
    work: float
    under_way: int
    busy: float
    requests: int


@dataclass
class Cluster:
    """A request goes to a ready replica by chance, as kube-proxy sends connections.

    Attributes:
        speed: tokens that one replica computes in a second.
        startup: seconds from asking for a replica until it is ready.
        paid: seconds of replicas, starting and draining included.
    """

    speed: float
    startup: float
    rng: random.Random
    replicas: list[Replica] = field(default_factory=list)
    paid: float = 0.0
    _work: float = 0.0
    _requests: int = 0
    _leaving: list[Replica] = field(default_factory=list)

    def begin(self, count: int) -> None:
        """With so many that are ready."""
        self.replicas = [Replica(ready_at=0.0) for _ in range(count)]

    def resize(self, count: int, now: float) -> None:
        """The newest go first; they finish what they have and are paid until then."""
        while len(self.replicas) < count:
            self.replicas.append(Replica(ready_at=now + self.startup))
        while len(self.replicas) > count:
            gone = self.replicas.pop()
            self.paid += gone.backlog(now)
            self._leaving.append(gone)

    def pay(self, seconds: float) -> None:
        self.paid += seconds * len(self.replicas)

    def serve(self, arrival: Arrival) -> float:
        """Seconds until it is answered."""
        now = arrival.seconds
        replica = self.rng.choice([one for one in self.replicas if one.ready_at <= now])
        replica.until = max(now, replica.until) + arrival.tokens / self.speed
        replica.finishes.append(replica.until)
        self._work += arrival.tokens / self.speed
        self._requests += 1
        return replica.until - now

    def observe(self, now: float) -> Observation:
        work = sum(one.backlog(now) for one in self.replicas)
        self._leaving = [one for one in self._leaving if one.until > now]
        undone = work + sum(one.backlog(now) for one in self._leaving)
        under_way = sum(one.under_way(now) for one in self.replicas)
        return Observation(now, work, under_way, self._work - undone, self._requests)


def multiply(
    arrivals: Sequence[Arrival], *, stretch: float, copies: int, shift: float, rng: random.Random
) -> list[Arrival]:
    """A short trace of one small service as a long one of many users.

    Time is stretched, then every request comes `copies` times, each up to `shift` seconds later.
    """
    many = [
        Arrival(arrival.seconds * stretch + rng.uniform(0.0, shift), arrival.tokens)
        for arrival in arrivals
        for _ in range(copies)
    ]
    return sorted(many, key=lambda arrival: arrival.seconds)
