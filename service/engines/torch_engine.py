"""The model in this process, through PyTorch and the packed forward."""

import torch
from transformers.utils import logging as transformers_logging

from reward_model.attention import BUCKET
from reward_model.network import RewardNetwork
from reward_model.packing import Sequence
from reward_model.release import Release
from service.engines import EngineUnavailable


class TorchEngine:
    """`service.engines.Engine` over a `RewardNetwork`."""

    def __init__(self, network: RewardNetwork) -> None:
        self.network = network
        self.max_tokens = network.max_tokens
        self.dtype = str(network.dtype).removeprefix("torch.")
        self.shares_prefixes = network.shares_prefixes
        self.fallback_reason = network.fallback_reason

    def warm_up(self) -> None:
        """A lone text and a pair with a shared prefix: both ways the forward can be taken.

        On a GPU also batches of two more sizes, after which no size is compiled for any more.
        """
        text = Sequence((0,) * min(8, self.max_tokens), (0,))
        self.score([text])
        self.score([text, Sequence((*text.ids[:-1], 1), (0,))])
        if self.network.model.device.type == "cuda" and self.shares_prefixes:
            self.score(_filler(BUCKET + 1, self.max_tokens))
            self.score(_filler(2 * BUCKET + 1, self.max_tokens))

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        return self.network.score(batch)

    def close(self) -> None:
        if self.network.model.device.type == "cuda":
            torch.cuda.empty_cache()


def _filler(tokens: int, longest: int) -> list[Sequence]:
    """Texts of at least this many tokens in all that share none."""
    length = min(tokens, longest)
    texts = (((first,) + (0,) * (length - 1)) for first in range(-(-tokens // length)))
    return [Sequence(ids, (0,)) for ids in texts]


def load_torch_engine(
    release: Release, *, device: str, dtype: str, cpu_threads: int
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
    return TorchEngine(RewardNetwork.load(release, device=device, dtype=dtype))


def _log_as_the_service_does() -> None:
    """transformers has a handler of its own, and progress bars, which are no log lines."""
    transformers_logging.disable_default_handler()
    transformers_logging.enable_propagation()
    transformers_logging.disable_progress_bar()
