"""The model in this process, through PyTorch and the packed forward."""

import threading

import torch
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from reward_model.attention.tree import BUCKET
from reward_model.network import RewardNetwork
from reward_model.packing import Sequence
from reward_model.release.checkpoint import load_model
from reward_model.release.release import Release
from service.engines import EngineUnavailable, OutOfMemory
from service.engines.memory import tokens_that_fit

_PROBE_ON_CPU, _PROBE_ON_GPU = 512, 8192
"""Tokens to measure a batch's memory with; few where they take long."""

_ENOUGH_ON_CPU, _ENOUGH_ON_GPU = 4096, 8192
"""A core computes 1024 tokens as fast as 8192, apart from prompts that need not be computed in each
of several batches; what arrives meanwhile waits less, and less memory is taken and broken up."""


class TorchEngine:
    """`service.engines.Engine` over a `RewardNetwork`."""

    def __init__(self, network: RewardNetwork) -> None:
        self.network = network
        self._turn = threading.Lock()
        # A GPU leaves the cores to prepare the next batch meanwhile; a CPU needs them itself.
        on_gpu = network.model.device.type == "cuda"
        self.batches_in_flight = 2 if on_gpu else 1
        self.enough_tokens = _ENOUGH_ON_GPU if on_gpu else _ENOUGH_ON_CPU
        self.max_tokens = network.max_tokens
        self.dtype = str(network.dtype).removeprefix("torch.")
        self.shares_prefixes = network.shares_prefixes
        self.fallback_reason = network.fallback_reason
        self.reads_steps = network.reads_steps
        self.most_tokens: int | None = None

    def warm_up(self) -> None:
        """A lone text and a pair with a shared prefix: both ways the forward can be taken.

        On a GPU also batches of two more sizes, after which no size is compiled for any more. Then
        what a token takes is measured.
        """
        text = Sequence((0,) * min(8, self.max_tokens), (0,))
        self.score([text])
        self.score([text, Sequence((*text.ids[:-1], 1), (0,))])
        if self.network.model.device.type == "cuda" and self.shares_prefixes:
            self.score(_filler(BUCKET + 1, self.max_tokens))
            self.score(_filler(2 * BUCKET + 1, self.max_tokens))
        self.most_tokens = self._measure()

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        prepared = self.network.prepare(batch)
        try:
            with self._turn:
                return self.network.compute(prepared)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
        # Outside of the handler, whose traceback still holds the forward's tensors.
        self._free_cached()
        raise OutOfMemory

    def close(self) -> None:
        self._free_cached()

    def _measure(self) -> int | None:
        device = self.network.model.device
        probe = _filler(_PROBE_ON_GPU if device.type == "cuda" else _PROBE_ON_CPU, self.max_tokens)
        tokens = sum(len(sequence.ids) for sequence in probe)
        return tokens_that_fit(device, lambda: self._run(probe), tokens)

    def _run(self, batch: list[Sequence]) -> None:
        self.score(batch)

    def _free_cached(self) -> None:
        if self.network.model.device.type == "cuda":
            torch.cuda.empty_cache()


_MEMORY_WORDS = (
    *("can't allocate memory", "not enough memory"),
    # oneDNN's, which knows of nothing else that could keep a layer from running that ran at load.
    *("could not create a primitive", "could not create a memory", "could not execute a primitive"),
)


def _is_out_of_memory(error: Exception) -> bool:
    """A CPU's allocator raises nothing more special than RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(words in str(error) for words in _MEMORY_WORDS)


def _filler(tokens: int, longest: int) -> list[Sequence]:
    """Texts of at least this many tokens in all that share none."""
    length = min(tokens, longest)
    texts = (((first,) + (0,) * (length - 1)) for first in range(-(-tokens // length)))
    return [Sequence(ids, (0,)) for ids in texts]


def load_torch_engine(
    release: Release,
    tokenizer: PreTrainedTokenizerBase,
    *,
    device: str,
    dtype: str,
    cpu_threads: int,
) -> TorchEngine:
    """Load a release; call it on the thread that will score.

    Args:
        device: auto, cpu or cuda; auto takes a GPU where there is one.
        dtype: auto, float32 or bfloat16; auto is float32 on a CPU and the release's own on a GPU.
        cpu_threads: threads of one forward on a CPU; 0 leaves it to torch.

    Raises:
        ReleaseError: the checkpoint cannot be loaded.
        EngineUnavailable: there is no such device.
    """
    _log_as_the_service_does()
    if cpu_threads:
        torch.set_num_threads(cpu_threads)
    gpu = torch.cuda.is_available()
    if device == "auto":
        device = "cuda" if gpu else "cpu"
    if device == "cuda" and not gpu:
        raise EngineUnavailable(
            "on cuda: PyTorch finds no GPU that it can use. Choose --device cpu, or install a "
            "build of torch that fits this GPU's driver"
        )
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else release.dtype
    model = load_model(release, device=device, dtype=dtype)
    return TorchEngine(RewardNetwork(model, tokenizer, release.max_tokens))


def _log_as_the_service_does() -> None:
    """transformers has a handler of its own, and progress bars, which are no log lines."""
    transformers_logging.disable_default_handler()
    transformers_logging.enable_propagation()
    transformers_logging.disable_progress_bar()
