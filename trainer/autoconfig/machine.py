"""What this machine has for training: its devices, memory at hand, and the speed of products."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import psutil
import torch

_CGROUP = Path("/sys/fs/cgroup")

# Share of the speed of one large product that training reaches, with everything around products.
_REACHED = 0.6

# Seconds in which products are timed.
_TIMED = 0.3


@dataclass(frozen=True)
class Machine:
    """The device that trains.

    Attributes:
        memory: bytes that are free on it now.
        flops: FLOP/s that training is likely to reach.
        bf16: whether products are faster in bfloat16 than in float32.
    """

    name: str
    memory: float
    flops: float
    bf16: bool
    is_gpu: bool


def this_machine(hidden: int) -> Machine:
    """Measure this machine with products as wide as a model's hidden states; takes a second."""
    is_gpu = torch.cuda.is_available()
    device = "cuda" if is_gpu else "cpu"
    speeds = {dtype: speed(device, dtype, hidden) for dtype in (torch.bfloat16, torch.float32)}
    bf16 = speeds[torch.bfloat16] > speeds[torch.float32]
    if is_gpu:
        name, memory = torch.cuda.get_device_name(), float(torch.cuda.mem_get_info()[0])
    else:
        cores = torch.get_num_threads()
        name, memory = f"{cores} CPU core{'s' if cores > 1 else ''}", free_memory()
    return Machine(name, memory, _REACHED * max(speeds.values()), bf16, is_gpu)


def speed(device: str, dtype: torch.dtype, hidden: int) -> float:
    """FLOP/s of a product of a batch's hidden states with a feed-forward's matrix."""
    rows, wide = (8192, 4 * hidden) if device == "cuda" else (512, 3 * hidden)
    x = torch.randn(rows, hidden, device=device).to(dtype)
    w = torch.randn(hidden, wide, device=device).to(dtype)
    x @ w  # chooses its kernel
    count, began = 0, perf_counter()
    while (took := perf_counter() - began) < _TIMED or count < 2:
        x @ w
        if device == "cuda":
            torch.cuda.synchronize()
        count += 1
    # The mean and not the best: other work on this machine slows training as well.
    return 2 * rows * hidden * wide * count / took


def free_memory() -> float:
    """Bytes that a process may still take: what is free, within the limit of its container."""
    free = float(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # no container, or one without a limit ("max")
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        free = min(free, float(limit - used))
    return free
