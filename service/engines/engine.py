"""The seam between the service and whatever computes scores.

Engines take token ids and hide the rest: packing, devices, kernels. This module imports neither
torch nor vLLM, so that everything above it is tested with a fake engine in milliseconds.
"""

from dataclasses import dataclass
from typing import Protocol

from reward_model.packing import Sequence


class EngineUnavailable(Exception):
    """This machine cannot run what the settings ask for.

    The message is printed as it is when the process ends, so it consists of whole sentences and
    says what to change.
    """


class EngineDead(Exception):
    """The engine will never score again, so the process should end and be started afresh."""


class OutOfMemory(Exception):
    """The batch needs more memory than there is; a smaller one may fit."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """Facts about an engine, for `/v1/models` and the metrics.

    Attributes:
        dtype: what the backbone computes in; scores are float32 whatever it is.
        max_tokens: the longest sequence it takes.
        shares_prefixes: whether it is known to compute a prefix once that several sequences of a
            batch have in common.
        reads_steps: whether it takes several read positions for one sequence, which is exact only
            where attention is causal.
        labels: the number of scores at each read position, which one forward gives together.
        fallback_reason: why it scores in a slower way than its architecture allows, or cannot say
            what it shares; None when neither holds.
        warnings: what somebody who serves this checkpoint should know of its weights.
        plain_products_reason: why its float32 products do not run on a CPU's bfloat16 matrix unit;
            None where they do.
        processes: how many processes hold the model and compute batches side by side.
    """

    dtype: str
    max_tokens: int
    shares_prefixes: bool
    reads_steps: bool
    labels: int = 1
    fallback_reason: str | None = None
    warnings: tuple[str, ...] = ()
    plain_products_reason: str | None = "this engine has no products for matrix units"
    processes: int = 1

    @property
    def matrix_units(self) -> bool:
        """Whether float32 products run as three products of bfloat16 on a CPU's matrix unit."""
        return self.plain_products_reason is None


@dataclass(frozen=True, slots=True)
class BatchingHints:
    """How the scheduler should feed an engine.

    Attributes:
        batches_in_flight: how many calls of `score` it wants side by side, each on its own thread.
        full_speed_tokens: a batch of this many tokens is computed at full speed, so a larger one
            only makes requests wait longer.
        shares_cores: whether it computes on the CPU cores that encoding uses, too.
        memory_limit_tokens: tokens of the largest batch that fits into free memory, known once the
            engine is warm; None where it cannot be measured.
    """

    batches_in_flight: int
    full_speed_tokens: int
    shares_cores: bool
    memory_limit_tokens: int | None = None


class Engine(Protocol):
    """Scores token sequences.

    All methods are called on one thread, but for `serve`, which returns at once; only an engine
    that takes several batches at once has `score` called on as many other threads.
    """

    facts: EngineFacts
    batching: BatchingHints

    @property
    def end_reason(self) -> str | None:
        """Why it will never score again, as a sentence, if that is known while it has no batch."""

    def warm_up(self) -> None:
        """Do everything that would make the first request slower than the next."""

    def serve(self) -> None:
        """Go on without proof: the batches until now were those of the golden replay.

        An engine that computes in several places must have computed each of them in every place.
        """

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        """Return raw float32 scores at each sequence's read positions, in batch order. Blocks.

        A row has `facts.labels` scores for each read position: all labels of the first position, in
        the order of the checkpoint's head, then those of the next.

        A score depends on its own sequence alone: neither the rest of the batch nor a NaN in it
        changes the score.

        Any other exception fails the whole batch, whichever text caused it, and leaves the engine
        able to score the next one; `service.scheduling.isolation` then looks for that text.

        Raises:
            OutOfMemory: a smaller batch may be tried at once.
            EngineDead: no batch will be scored any more.
            ValueError: a sequence is longer than `facts.max_tokens`; callers check lengths first.
        """

    def close(self) -> None:
        """Free what the engine holds; from then on `score` raises EngineDead."""
