"""One run in several processes: FSDP2 through accelerate, started by torchrun.

    torchrun --nproc-per-node 8 -m trainer pretrain --recipe NAME --work DIR

There is nothing to set: torchrun's environment says how many processes there are.
"""

import atexit
import os

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import Tensor, distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict


def count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of the processes this is."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """Whether this process writes what all of them made."""
    return rank() == 0


def join() -> None:
    """Let the processes know each other, which a `Trainer` does otherwise."""
    if count() > 1:
        PartialState(cpu=device() == "cpu")


def wait() -> None:
    """Return once all processes are here."""
    if distributed.is_initialized():
        distributed.barrier()


@atexit.register
def _leave() -> None:
    # Threads of gloo abort a process that ends before its group does.
    if distributed.is_initialized():
        distributed.destroy_process_group()


def shard_on_cpu(accelerator: Accelerator, plugin: FullyShardedDataParallelPlugin) -> None:
    """Let accelerate use FSDP on a CPU, so that tests need no GPU."""
    # accelerate 1.15 accepts FSDP on accelerators only, but gloo can do it as well.
    accelerator.state.distributed_type = DistributedType.FSDP
    accelerator.state.fsdp_plugin = plugin


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """All weights, on the CPU, gathered from all processes; only the main one gets them."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state = get_model_state_dict(model, options=options)
    # A weight that two modules share has its first name alone, as files have it once.
    names = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    return {n: value for n, value in state.items() if isinstance(value, Tensor) and n in names}


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
