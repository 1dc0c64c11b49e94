"""An engine that runs the model in this process, through PyTorch and the packed forward."""

import math
import threading
from dataclasses import replace

import torch
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from reward_model.attention.tree import BUCKET
from reward_model.network import RewardNetwork
from reward_model.packing import Sequence
from reward_model.release.checkpoint import load_weights
from reward_model.release.release import Release
from service.engines.engine import (
    BatchingHints,
    EngineDead,
    EngineFacts,
    EngineUnavailable,
    OutOfMemory,
)
from service.engines.memory import require_room, tokens_that_fit
from service.settings import Settings

# A CPU core computes 1024 tokens as fast as 8192, apart from prompts that need not be computed in
# each of several batches. Smaller batches let new requests wait less, and use less memory.
_FULL_SPEED_ON_CPU, _FULL_SPEED_ON_GPU = 4096, 8192

# Tokens of the batch that measures memory; few on a CPU, where they take long.
_PROBE_ON_CPU, _PROBE_ON_GPU = 512, 8192

# A CPU's allocator raises a plain RuntimeError, so only the words tell a lack of memory.
_MEMORY_WORDS = (
    *("can't allocate memory", "not enough memory"),
    # oneDNN says these. A layer that ran when the model was loaded can fail for nothing else.
    *("could not create a primitive", "could not create a memory", "could not execute a primitive"),
    # CUDA's own words, for memory that torch's allocator does not manage.
    "CUDA error: out of memory",
)


class TorchEngine:
    """Implements `service.engines.engine.Engine` with a `RewardNetwork`.

    Args:
        warnings: what was odd about its weights.
    """

    end_reason = None

    def __init__(self, network: RewardNetwork, warnings: tuple[str, ...] = ()) -> None:
        self.network = network
        self._on_gpu = network.model.device.type == "cuda"
        # One thread at a time starts the model. On a GPU the next batch is prepared and queued
        # while the one before it is computed.
        self._turn = threading.Lock()
        self._closed = False
        self.facts = EngineFacts(
            dtype=str(network.dtype).removeprefix("torch."),
            max_tokens=network.max_tokens,
            shares_prefixes=network.shares_prefixes,
            reads_steps=network.reads_steps,
            labels=network.labels,
            fallback_reason=network.fallback_reason,
            warnings=warnings,
            plain_products_reason=network.plain_products_reason,
        )
        self.batching = BatchingHints(
            # While a GPU computes, the cores are free to prepare the next batch; a CPU needs them.
            batches_in_flight=2 if self._on_gpu else 1,
            full_speed_tokens=_FULL_SPEED_ON_GPU if self._on_gpu else _FULL_SPEED_ON_CPU,
            shares_cores=not self._on_gpu,
        )

    def warm_up(self) -> None:
        """Run every way the forward can be taken, then measure how much memory a token takes."""
        longest = self.facts.max_tokens
        text = Sequence((0,) * min(8, longest), (0,))
        self.score([text])
        self.score([text, Sequence((*text.ids[:-1], 1), (0,))])
        if self._on_gpu and self.facts.shares_prefixes:
            # After batches of two more sizes, torch.compile compiles for no new size any more. (The
            # self-check at load ran one of them already; a cache on disk makes this quick.)
            self.score(_distinct_texts(BUCKET + 1, longest))
            self.score(_distinct_texts(2 * BUCKET + 1, longest))
        probe = _distinct_texts(_PROBE_ON_GPU if self._on_gpu else _PROBE_ON_CPU, longest)
        tokens = sum(len(sequence.ids) for sequence in probe)

        def compute() -> None:
            self.score(probe)

        limit = tokens_that_fit(self.network.model.device, compute, tokens)
        self.batching = replace(self.batching, memory_limit_tokens=limit)

    def serve(self) -> None:
        """Change nothing: what was proven is what computes."""

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        if self._closed:
            raise EngineDead("The engine is closed.")
        longest = max((len(sequence.ids) for sequence in batch), default=0)
        if longest > self.facts.max_tokens:
            raise ValueError(
                f"The text has {longest} tokens and the model takes {self.facts.max_tokens}."
            )
        try:
            prepared = self.network.prepare(batch)
            with self._turn:
                launched = self.network.launch(prepared)
            # Outside of the turn, so that another thread can queue its batch while this one waits.
            rows = launched.wait()
            if all(math.isfinite(score) for row in rows for score in row):
                return rows
            with self._turn:
                return self.network.separate_non_finite(launched, rows)
        except (MemoryError, RuntimeError) as error:
            special = isinstance(error, torch.OutOfMemoryError | MemoryError)
            if not special and not any(words in str(error) for words in _MEMORY_WORDS):
                if isinstance(error, torch.AcceleratorError) or "device-side assert" in str(error):
                    # After such an error every call of CUDA in this process fails.
                    raise EngineDead(
                        "The GPU reported an error that only a new process recovers from."
                    ) from error
                raise
        # Outside of the handler, because the error's traceback still holds the forward's tensors.
        if self._on_gpu:
            torch.cuda.empty_cache()
        raise OutOfMemory

    def close(self) -> None:
        self._closed = True
        # Whoever still holds the engine, such as a frame that waits, must not hold the weights.
        del self.network
        if self._on_gpu:
            torch.cuda.empty_cache()


def _distinct_texts(tokens: int, longest: int) -> list[Sequence]:
    """Return texts of at least `tokens` tokens in total that share no prefix."""
    length = min(tokens, longest)
    texts = (((first,) + (0,) * (length - 1)) for first in range(-(-tokens // length)))
    return [Sequence(ids, (0,)) for ids in texts]


def load_torch_engine(
    release: Release, tokenizer: PreTrainedTokenizerBase, settings: Settings
) -> TorchEngine:
    """Load a release; call it on the thread that will score.

    Raises:
        ReleaseError: the checkpoint cannot be loaded.
        EngineUnavailable: the device is missing, or several GPUs are asked for.
    """
    if settings.tensor_parallel > 1:
        raise EngineUnavailable(
            f"The torch engine uses one GPU, and --tensor-parallel asks for "
            f"{settings.tensor_parallel}. Choose --engine vllm or --tensor-parallel 1."
        )
    # transformers has a log handler of its own, and progress bars, which are no JSON lines.
    transformers_logging.disable_default_handler()
    transformers_logging.enable_propagation()
    transformers_logging.disable_progress_bar()
    if settings.cpu_threads:
        torch.set_num_threads(settings.cpu_threads)
    gpu = torch.cuda.is_available()
    if settings.device == "cuda" and not gpu:
        raise EngineUnavailable(
            "PyTorch finds no GPU that it can use, and --device asks for cuda. Choose --device "
            "cpu, or install a build of torch that fits this GPU's driver."
        )
    on_cpu = settings.device == "cpu" or not gpu
    dtype: str = settings.dtype
    if dtype == "auto":
        # Few CPUs compute in bfloat16 faster than in float32.
        dtype = "float32" if on_cpu else release.dtype
    device = "cpu" if on_cpu else "cuda"
    require_room(release.path, torch.device(device), 4 if dtype == "float32" else 2)
    model, warnings = load_weights(release, device=device, dtype=dtype)
    network = RewardNetwork(
        model, tokenizer, release.max_tokens, matrix_units=settings.matrix_units
    )
    return TorchEngine(network, warnings)
