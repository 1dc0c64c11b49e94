"""Scores one batch so that a text on which the engine fails costs no other text its score.

An engine fails a whole batch at a time and cannot say which text was the cause. So a batch that
fails is scored again in halves, down to single texts. This module knows neither threads nor jobs.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from reward_model.packing import Sequence
from service.engines.engine import Engine, EngineDead, OutOfMemory
from service.errors import ItemError
from service.scheduling.queue import JobResult

_log = logging.getLogger(__name__)

_FAILED = ItemError("engine_error", "the engine failed on this batch: send it again")
_FAILED_ALONE = ItemError(
    "engine_error",
    "the engine fails on this text, also alone, and works on others: change the text",
    text_at_fault=True,
)
_NON_FINITE = ItemError("non_finite", "the model gave a score that is not a finite number")
_TOO_BIG = ItemError(
    "out_of_memory", "this text does not fit into the memory that is free, not even alone"
)

# Every model has this token, and every engine has scored it when it warmed up. If it fails as well,
# the fault is the engine's, and no other attempt is of use.
_WITNESS = [Sequence((0,), (0,))]

# Attempts go level by level, and a level costs about as much as the batch did. To find one text
# takes about three times the batch. Whatever takes longer than this is given up.
_RETRY_SECONDS = 10.0
_RETRY_FACTOR = 6.0


@dataclass(slots=True)
class BatchScores:
    """The outcome of a batch.

    Attributes:
        results: one result for each sequence, in order.
        splits: how often it was split to fit into memory.
        died: why the engine will never score again; None while it will.
    """

    results: list[JobResult]
    splits: int = 0
    died: str | None = None


class _Failure(Enum):
    """Why an attempt gave no scores."""

    OUT_OF_MEMORY = 1
    FAULT = 2


def score_isolated(
    engine: Engine,
    sequences: list[Sequence],
    *,
    next_attempt: Callable[[], bool] = lambda: True,
    clock: Callable[[], float] = time.monotonic,
) -> BatchScores:
    """Score a batch; one that fails or does not fit into memory is scored again in halves.

    Args:
        next_attempt: called before each attempt but the first; false gives up the rest.
        clock: gives seconds.
    """
    scores = BatchScores([_FAILED] * len(sequences))
    parts = deque([range(len(sequences))])
    attempts, faulty = 0, False
    started, retry_until = clock(), math.inf
    try:
        while parts:
            if attempts and (clock() > retry_until or not next_attempt()):
                break
            part = parts.popleft()
            attempts += 1
            outcome = _attempt(engine, [sequences[index] for index in part], log=not faulty)
            if isinstance(outcome, list):
                scores.results[part.start : part.stop] = outcome
            elif len(part) > 1:
                scores.splits += outcome is _Failure.OUT_OF_MEMORY
                middle = len(part) // 2
                parts += part[:middle], part[middle:]
            elif outcome is _Failure.OUT_OF_MEMORY:
                scores.results[part.start] = _TOO_BIG
            elif faulty:
                scores.results[part.start] = _FAILED_ALONE
            else:
                parts.append(part)  # A text that came alone gets a second attempt, too.
            if outcome is _Failure.FAULT and not faulty:
                faulty = True
                retry_until = clock() + max(_RETRY_SECONDS, _RETRY_FACTOR * (clock() - started))
                if not isinstance(_attempt(engine, _WITNESS, log=False), list):
                    break
    except EngineDead as dead:
        scores.died = str(dead)
    return scores


def _attempt(engine: Engine, sequences: list[Sequence], *, log: bool) -> list[JobResult] | _Failure:
    """Score sequences together. Only a batch's first fault is logged: the others repeat it.

    No fault is raised, because its traceback would keep the failed batch's memory alive.

    Raises:
        EngineDead: the engine will never score again.
    """
    try:
        rows = engine.score(sequences)
        assert len(rows) == len(sequences), "the engine answers every sequence"
    except OutOfMemory:
        _log.warning("out of memory with a batch of %d", len(sequences))
        return _Failure.OUT_OF_MEMORY
    except EngineDead:
        _log.exception("engine fault: EngineDead")
        raise
    except BaseException as fault:  # noqa: BLE001 - a panic in Rust is no Exception
        if log:
            _log.exception("engine fault: %s", type(fault).__name__)
        return _Failure.FAULT
    return [tuple(row) if all(map(math.isfinite, row)) else _NON_FINITE for row in rows]
