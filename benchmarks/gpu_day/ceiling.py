"""Measures the limits of the device: a large matrix product, and copying memory."""

from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter

import torch

from benchmarks.gpu_day.day import Row, Setting

PART = "ceiling"
_REPEATS = 20


def run(setting: Setting) -> Iterator[Row]:
    """Products of random numbers in each dtype, then a copy from the device to itself."""
    scale = setting.scale
    for name in (scale.dtype, "float32"):
        dtype: torch.dtype = getattr(torch, name)
        left, right = (
            torch.randn(scale.product, scale.product, device=scale.device, dtype=dtype)
            for _ in range(2)
        )
        seconds = seconds_each(partial(torch.matmul, left, right), scale.device)
        rate = 2 * scale.product**3 / seconds / 1e12
        yield {"what": f"matrix product, {name}", "size": scale.product, "TFLOP/s": rate}
        if scale.dtype == "float32":
            break
    source = torch.randn(scale.product * scale.product // 4, 16, device=scale.device)
    target = torch.empty_like(source)
    seconds = seconds_each(lambda: target.copy_(source), scale.device)
    # Every byte is read once and written once.
    moved = 2 * source.numel() * source.element_size()
    yield {"what": "copy on the device", "size": source.numel(), "TB/s": moved / seconds / 1e12}


def seconds_each(work: Callable[[], object], device: str, repeats: int = _REPEATS) -> float:
    """Seconds of one call among many, after three that warm up."""
    for _ in range(3):
        work()
    synchronize(device)
    began = perf_counter()
    for _ in range(repeats):
        work()
    synchronize(device)
    return (perf_counter() - began) / repeats


def synchronize(device: str) -> None:
    """Wait for what the device still computes."""
    if device == "cuda":
        torch.cuda.synchronize()


def measured_flops(setting: Setting) -> float | None:
    """Operations per second of the matrix product in the scale's dtype; None if not measured."""
    for row in setting.found.get(PART, []):
        rate = row.get("TFLOP/s")
        if isinstance(rate, float) and str(row["what"]).endswith(setting.scale.dtype):
            return rate * 1e12
    return None
