"""A sandbox of bubblewrap workers: a pool that any number of threads may use."""

import os
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

from trainer.feedback.sandbox.supervise import LENIENCE
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Status
from trainer.feedback.sandbox.worker import Worker, WorkerDied
from trainer.pipeline.stage import StageError

NEAR = 0.8
"""From this share of the CPU limit on, a run is repeated alone."""
TRIES = 3


class BubblewrapSandbox:
    """Runs programs behind namespaces. `run` may be called from any number of threads.

    Args:
        workers: how many runs at a time; 0 for one on each core that this process may use.

    Raises:
        StageError: the walls cannot be built here. Nothing has been run.
    """

    isolation = "bubblewrap"

    def __init__(self, workers: int = 0) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        # Bubblewrap dies with the thread that starts it, and a caller's thread may end early.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="sandbox-starter")
        cores = sorted(os.sched_getaffinity(0))
        # With a core of its own, a run of many processes slows no neighbour.
        pinned = self.workers <= len(cores)
        self._slots = [
            _Slot(self._starter, cores[i] if pinned else None) for i in range(self.workers)
        ]
        self._idle: queue.LifoQueue[_Slot] = queue.LifoQueue()
        self._gathering = threading.Lock()
        try:
            for slot in self._slots:
                slot.start()
                self._idle.put(slot)
            self._probe()
        except BaseException:
            self.close()
            raise

    def run(self, program: Program, inputs: list[Input], limits: Limits) -> list[Outcome]:
        """Run the program on each input, every time in a fresh process; outcomes in order."""
        slot = self._idle.get()
        try:
            outcomes = slot.run(program, inputs, limits)
        finally:
            self._idle.put(slot)
        near = [i for i, outcome in enumerate(outcomes) if _near(outcome, limits)]
        if near:
            with self._alone() as slot:
                again = slot.run(program, [inputs[i] for i in near], limits)
            for i, outcome in zip(near, again, strict=True):
                outcomes[i] = outcome
        return outcomes

    @contextmanager
    def _alone(self) -> Iterator["_Slot"]:
        """One slot, while no other runs: how much a run costs must not depend on its neighbours."""
        taken: list[_Slot] = []
        try:
            with self._gathering:  # two that gather would wait for each other
                while len(taken) < self.workers:
                    taken.append(self._idle.get())
                yield taken[0]
        finally:
            for slot in taken:
                self._idle.put(slot)

    def _probe(self) -> None:
        """Refuse to serve if the walls do not hold."""
        (outcome,) = self.run(Program(_PROBE), [Input()], Limits())
        if outcome.status is not Status.OK or outcome.stdout != "held\n":
            raise StageError(
                "The sandbox started, but its walls do not hold, so nothing is run: "
                f"{outcome.status} {outcome.error} {outcome.stdout[:500]!r}"
            )

    def close(self) -> None:
        """End all workers with everything in them."""
        for slot in self._slots:
            slot.stop()
        self._starter.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _near(outcome: Outcome, limits: Limits) -> bool:
    """Whether the machine's load may have decided."""
    if outcome.error in ("limit: wall", "SIGKILL"):
        return outcome.error == "SIGKILL"
    share = outcome.cpu_seconds / limits.cpu_seconds
    return NEAR <= share <= LENIENCE and outcome.error != "limit: memory"


class _Slot:
    """A place for a worker. One that dies is replaced, and its run is tried again."""

    def __init__(self, starter: ThreadPoolExecutor, core: int | None) -> None:
        self._starter = starter
        self._core = core
        self._worker: Worker | None = None

    def start(self) -> "Worker":
        self._worker = self._starter.submit(Worker, self._core).result()
        return self._worker

    def stop(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def run(self, program: Program, inputs: list[Input], limits: Limits) -> list[Outcome]:
        outcomes: list[Outcome] = []
        failures = 0
        while len(outcomes) < len(inputs):
            try:
                worker = self._worker or self.start()
                for outcome in worker.run(program, inputs[len(outcomes) :], limits):
                    if outcome.status is Status.INFRASTRUCTURE:
                        raise WorkerDied(outcome.error)
                    outcomes.append(outcome)
                    failures = 0
            except (WorkerDied, StageError) as error:
                self.stop()
                failures += 1
                if failures == TRIES:
                    outcomes.append(Outcome(Status.INFRASTRUCTURE, error=str(error)))
                    failures = 0
            except BaseException:
                self.stop()  # it still owes outcomes, which the next run would take for its own
                raise
        return outcomes


_PROBE = """
import os, socket
def refused(attempt):
    try:
        attempt()
    except OSError:
        return
    print("open:", attempt.__name__)
def network():
    socket.create_connection(("192.0.2.1", 80), 1)
def write():
    open("/usr/lib/probe", "w")
def root():
    open("/probe", "w")
refused(network), refused(write), refused(root)
if os.getppid() != 0 or os.path.exists("/proc/self"):
    print("seen:", os.getppid())
print("held")
"""
