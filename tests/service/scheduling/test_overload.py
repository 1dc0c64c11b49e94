"""Five times what an engine can do, on a clock that only these tests move: nothing sleeps.

Admission and queue are the real ones; the engine is simulated.
"""

import asyncio
import random
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from reward_model.packing import Sequence, new_tokens
from service.errors import QueueFull
from service.scheduling.admission import Admission, Reservation
from service.scheduling.queue import Job, JobQueue
from service.scheduling.throughput import ThroughputEstimator

SPEED = 9000.0
"""Tokens a second."""
DEADLINE = 5.0
CANDIDATES = 8
SECONDS = 60.0


@dataclass(eq=False)
class Request:
    """Admitted at `began`; `took` until its last candidate was computed, or its time was over."""

    began: float
    tokens: int
    held: ExitStack
    reservation: Reservation
    jobs: list[Job] = field(default_factory=list)
    left: int = CANDIDATES
    took: float | None = None


class Simulation:
    """Admission, queue, and an engine whose batches take longer or shorter by exp(`spread`)."""

    def __init__(self, spread: float, batch_tokens: int) -> None:
        self.now = 0.0
        self.throughput = ThroughputEstimator()
        self.throughput.note_batch(int(SPEED), 1.0)
        self.admission = Admission(max_items=10**6, max_tokens=10**9, clock=lambda: self.now)
        self.queue = JobQueue(
            batch_tokens=batch_tokens, max_wait=0, bulk_patience=1, shares_prefixes=True
        )
        self.admitted: list[Request] = []
        self._spread = spread
        self._rng = random.Random("overload")
        self._of: dict[Job, Request] = {}

    def arrive(self) -> None:
        """One request: a prompt that a few others share, and candidates of its own."""
        prompt = (self._rng.randrange(24),) * self._rng.randint(30, 150)
        answers = [self._rng.randint(5, 150) for _ in range(CANDIDATES)]
        tokens, held = len(prompt) + sum(answers), ExitStack()
        try:
            reservation = held.enter_context(
                self.admission.admit("interactive", CANDIDATES, tokens, self.throughput, DEADLINE)
            )
        except QueueFull:
            return
        request = Request(self.now, tokens, held, reservation)
        self.admitted.append(request)
        for length in answers:
            job = self._job(prompt, length, tokens // CANDIDATES)
            self._of[job] = request
            request.jobs.append(job)
            self.queue.push([job])

    def _job(self, prompt: tuple[int, ...], length: int, reserved: int) -> Job:
        ids = (*prompt, self._rng.randrange(10**9), *(1 for _ in range(length)))
        answer = asyncio.get_running_loop().create_future()
        return Job(
            Sequence(ids, (len(ids) - 1,)),
            "interactive",
            answer,
            self.now,
            self.now + DEADLINE,
            reserved_tokens=reserved,
        )

    def batch(self) -> tuple[float, list[Job]]:
        """What the engine takes now, and when it will be done."""
        jobs = self.queue.take(self.now)
        tokens = sum(new_tokens([job.sequence for job in jobs]))
        pauses = self._rng.lognormvariate(0, self._spread)
        return self.now + tokens / SPEED * pauses, jobs

    def ran(self, jobs: list[Job], seconds: float) -> None:
        self.throughput.note_batch(sum(job.reserved_tokens for job in jobs), seconds)
        for job in jobs:
            request = self._of[job]
            request.reservation.release(job.reserved_tokens)
            request.left -= 1
            if not request.left and request.took is None:
                self._end(request)

    def expire(self) -> None:
        for request in self.admitted:
            if request.took is None and self.now >= request.began + DEADLINE:
                for job in request.jobs:
                    job.answer.cancel()
                self._end(request)

    def _end(self, request: Request) -> None:
        request.took = self.now - request.began
        request.held.close()


def overload(spread: float, batch_tokens: int) -> Simulation:
    """Five times the requests that can be computed, at random times; a batch whenever none runs."""
    simulation, rng = Simulation(spread, batch_tokens), random.Random("arrivals")
    every = (90 + CANDIDATES * 77.5) / SPEED / 5
    due, began, ends = 0.0, 0.0, 0.0
    running: list[Job] = []
    while simulation.now < SECONDS:
        simulation.now = min(due, ends) if running else due
        simulation.expire()
        if running and simulation.now == ends:
            simulation.ran(running, ends - began)
            running = []
        if simulation.now == due:
            simulation.arrive()
            due += rng.expovariate(1 / every)
        if not running and len(simulation.queue):
            began = simulation.now
            ends, running = simulation.batch()
    return simulation


@pytest.mark.parametrize(("spread", "batch_tokens"), [(0.0, 8192), (0.3, 4096)])
async def test_admitted_requests_end_in_time_and_the_engine_is_not_starved(
    spread: float, batch_tokens: int
) -> None:
    simulation = overload(spread, batch_tokens)
    ended = [request for request in simulation.admitted if request.took is not None]
    took = sorted(request.took or 0.0 for request in ended)
    assert took[int(0.99 * len(took))] < DEADLINE
    scored = sum(request.tokens for request in ended if not request.left)
    assert scored / SECONDS > 0.9 * SPEED
