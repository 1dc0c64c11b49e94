"""An engine of several processes, each of which holds the model and computes on its own CPU cores.

One forward does not become faster with every core that it gets: its threads wait for each other,
and on two sockets for each other's memory. Several forwards side by side do, at the price of a copy
of the model for each.
"""

import logging
import math
import threading
from collections.abc import Iterable
from dataclasses import replace
from queue import LifoQueue

import torch

from reward_model.packing import Sequence
from reward_model.release.release import Release
from service.engines.cores import share_cores
from service.engines.engine import EngineDead, EngineUnavailable
from service.engines.engine_process import (
    EngineProcess,
    EngineState,
    Load,
    Rows,
    Score,
    WarmUp,
    value_of,
)
from service.engines.memory import require_room
from service.logs import Facts, with_facts
from service.settings import Settings

_log = logging.getLogger(__name__)

# The difference between processes' scores that threads and roundings explain, relative to the score
# or to 1, whichever is more.
_TOLERANCE = {"float32": 1e-4}
_ROUNDED_TOLERANCE = 2e-2


class ProcessEngine:
    """Implements `service.engines.engine.Engine`: each batch goes to a process that is free.

    Until `serve` is called, each batch goes to all of them, so that what proves one proves all.

    Args:
        processes: with an engine of the same release in each.
        states: what these engines are.
        shares_cores: whether they leave no core to encoding.
    """

    def __init__(
        self, processes: list[EngineProcess], states: list[EngineState], *, shares_cores: bool
    ) -> None:
        self.processes = processes
        # Last in, first out: when there is little to do, the same caches stay warm.
        self._free: LifoQueue[EngineProcess] = LifoQueue()
        self._everywhere = threading.Lock()
        self._serving = self._closed = False
        self.facts = replace(states[0].facts, processes=len(processes))
        self.batching = replace(
            states[0].batching, batches_in_flight=len(processes), shares_cores=shares_cores
        )

    def warm_up(self) -> None:
        """Warm all up at once. The memory that is free has room for a batch of each."""
        states = _ask_all(self.processes, [WarmUp()] * len(self.processes))
        limits = [state.batching.memory_limit_tokens for state in states]
        known = [limit for limit in limits if limit is not None]
        if known:
            limit = max(1, min(known) // len(self.processes))
            self.batching = replace(self.batching, memory_limit_tokens=limit)

    def serve(self) -> None:
        for process in self.processes:
            self._free.put(process)
        self._serving = True

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        if self._closed:
            raise EngineDead("The engine is closed.")
        if reason := self.end_reason:
            raise EngineDead(reason)
        if not self._serving:
            return self._score_everywhere(batch)
        process = self._free.get()
        try:
            process.send(Score(batch))
            return value_of(process.receive(), Rows).rows
        finally:
            self._free.put(process)

    @property
    def end_reason(self) -> str | None:
        if self._closed:
            return None
        # One that ended ends all: a supervisor starts the service afresh, with its full speed.
        return next((end for process in self.processes if (end := process.end)), None)

    def close(self) -> None:
        self._closed = True
        for process in self.processes:
            process.begin_close()
        for process in self.processes:
            process.close()

    def _score_everywhere(self, batch: list[Sequence]) -> list[list[float]]:
        with self._everywhere:
            for process in self.processes:
                process.send(Score(batch))
            # All answers are taken before one of them is raised as an error.
            replies = [process.receive() for process in self.processes]
        first, *others = (value_of(reply, Rows).rows for reply in replies)
        for number, rows in enumerate(others, 1):
            gap = _largest_gap(first, rows)
            # Not `gap > tolerance`, which is false for NaN.
            if not gap <= _TOLERANCE.get(self.facts.dtype, _ROUNDED_TOLERANCE):
                facts: Facts = {"engine_process": number, "gap": gap}
                _log.error("engine processes disagree about scores", extra=with_facts(facts))
                raise RuntimeError("engine processes disagree about scores")
        return first


def _largest_gap(first: list[list[float]], second: list[list[float]]) -> float:
    pairs = [pair for rows in zip(first, second, strict=True) for pair in zip(*rows, strict=True)]
    # A text that is NaN in both is a text's own fault, and no disagreement.
    gaps = [abs(a - b) / max(1.0, abs(a)) for a, b in pairs if a != b and not (a != a and b != b)]
    return math.nan if any(map(math.isnan, gaps)) else max(gaps, default=0.0)


def load_process_engine(release: Release, settings: Settings) -> ProcessEngine:
    """Start the processes and load the release in each; call it on the engine's thread.

    Raises:
        ReleaseError: the checkpoint cannot be loaded.
        EngineUnavailable: there is a GPU to compute on, or there are too few CPUs or too little
            memory.
    """
    if settings.device == "auto" and torch.cuda.is_available():
        raise EngineUnavailable(
            "--engine-processes is for CPUs, and PyTorch finds a GPU here. Choose --device cpu, or "
            "--engine-processes 1."
        )
    count = settings.engine_processes
    shares, shares_cores = share_cores(count, settings.cpu_threads, settings.encode_threads)
    require_room(release.path, torch.device("cpu"), 4, copies=count)
    for number, share in enumerate(shares):
        cpus = ",".join(map(str, share.cpus)) or None
        facts: Facts = {"engine_process": number, "threads": share.threads, "cpus": cpus}
        _log.info("an engine process starts", extra=with_facts(facts))
    processes: list[EngineProcess] = []
    try:
        for number, share in enumerate(shares):
            processes.append(EngineProcess(number, share))
        states = _ask_all(processes, [_load(release, settings, each.threads) for each in shares])
        if len({state.facts.matrix_units for state in states}) > 1:
            # Trials decide by time. Whether a process was disturbed must not decide about a score.
            plain = settings.model_copy(update={"matrix_units": False})
            states = _ask_all(processes, [_load(release, plain, each.threads) for each in shares])
            reason = "its trial ended differently in several engine processes"
            facts_of_all = replace(states[0].facts, plain_products_reason=reason)
            states = [replace(state, facts=facts_of_all) for state in states]
    except BaseException:
        for process in processes:
            process.close()
        raise
    return ProcessEngine(processes, states, shares_cores=shares_cores)


def _load(release: Release, settings: Settings, threads: int) -> Load:
    own = {"device": "cpu", "engine_processes": 1, "cpu_threads": threads}
    # Keys and the like are no business of an engine's.
    secret = {"admin_port", "admin_key_file", "api_keys_file", "otlp_endpoint"}
    text = settings.model_copy(update=own).model_dump_json(exclude=secret)
    # The golden conversations are replayed from here.
    return Load(text, replace(release, golden=()))


def _ask_all(
    processes: list[EngineProcess], requests: Iterable[Load | WarmUp]
) -> list[EngineState]:
    for process, request in zip(processes, requests, strict=True):
        process.send(request)
    replies = [process.receive() for process in processes]
    return [value_of(reply, EngineState) for reply in replies]
