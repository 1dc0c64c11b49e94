"""The seam between the service and whatever computes scores. Opening one is the only choice made.

Engines take token ids and hide the rest: packing, devices, kernels. Neither torch nor vLLM is
imported before it is chosen.
"""

from typing import TYPE_CHECKING, Protocol

from reward_model.packing import Sequence
from reward_model.release.release import Release
from service.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class EngineUnavailable(Exception):
    """What the settings ask for cannot run on this machine; the message says what to change."""


class EngineDead(Exception):
    """It will never score again, so the process should end and be started afresh."""


class OutOfMemory(Exception):
    """The batch needed more memory than there is; a smaller one may do."""


class Engine(Protocol):
    """Scores token sequences. All its methods are called on one and the same thread.

    Only an engine that takes several batches at once gets them from as many other threads.
    """

    max_tokens: int
    """Longest sequence it takes."""
    dtype: str
    """What the backbone computes in; scores are float32 whatever it is."""
    shares_prefixes: bool
    """Whether a prefix that a batch has in common is known to be computed once."""
    fallback_reason: str | None
    """Why it scores a slower way than its architecture allows, or does not say what it shares; None
    when neither is so."""
    reads_steps: bool
    """Whether it takes several read positions: where attention is causal."""
    batches_in_flight: int
    """How many calls of `score` it wants side by side; 1 where one thread does it all."""
    enough_tokens: int
    """Tokens of a batch that is computed at full speed; whoever waits for a larger one gains
    nothing."""
    most_tokens: int | None
    """Tokens of the largest batch that fits into free memory, known once it is warm; None where
    nobody can tell."""

    def warm_up(self) -> None:
        """Everything that would make the first request slower than the next."""

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        """Raw scores at each sequence's read positions, in the batch's order. Blocks.

        Raises:
            OutOfMemory: a smaller batch may be tried at once.
            EngineDead: no batch will be scored any more; the service ends.
        """

    def close(self) -> None:
        """Free what it holds; nothing is called afterwards."""


def open_engine(
    release: Release, tokenizer: "PreTrainedTokenizerBase", settings: Settings
) -> Engine:
    """Load a release into the engine that the settings name. Slow; call it on the engine's thread.

    Raises:
        ReleaseError: the checkpoint cannot be loaded.
        EngineUnavailable: the settings ask for what is not there, or not done by that engine.
    """
    match settings.engine:
        case "torch":
            from service.engines.torch_engine import load_torch_engine

            _refuse_several_gpus(settings)
            return load_torch_engine(
                release,
                tokenizer,
                device=settings.device,
                dtype=settings.dtype,
                cpu_threads=settings.cpu_threads,
            )
        case "vllm":
            from service.engines.vllm_engine import load_vllm_engine

            longest = min(release.max_tokens, tokenizer.model_max_length)
            return load_vllm_engine(release, settings, max_tokens=longest)


def _refuse_several_gpus(settings: Settings) -> None:
    if settings.tensor_parallel > 1:
        raise EngineUnavailable(
            f"on {settings.tensor_parallel} GPUs with the torch engine, which uses one. Choose "
            "--engine vllm, or --tensor-parallel 1"
        )
