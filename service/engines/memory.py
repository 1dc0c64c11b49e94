"""How large a batch may be: the memory that a token takes, measured, against what is free."""

import logging
import math
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from reward_model.release.files import weight_files
from service.allocator import trim
from service.engines.engine import EngineUnavailable

_log = logging.getLogger(__name__)

# The share of free memory that one batch may take: allocators fragment, and other processes and
# other loaded models use the same memory.
_SHARE = 0.6

# Tests replace these roots.
_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")

# Limit, usage and statistics of a container, for version 2 of control groups and then for
# version 1.
_CGROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def tokens_that_fit(device: torch.device, compute: Callable[[], None], probe: int) -> int | None:
    """Return how many tokens the largest batch may have; None where it cannot be measured.

    Args:
        compute: runs a batch of `probe` tokens.
    """
    peak = (measure_peak_on_gpu if device.type == "cuda" else measure_peak_on_cpu)(compute)
    free = free_bytes(device)
    if peak <= 0 or free is None:
        return None
    per_token = max(1, peak // probe)
    fit = max(1, int(_SHARE * free) // per_token)
    _log.info(
        "a token takes %d bytes, %d MB are free: %d tokens fit", per_token, free // 10**6, fit
    )
    return fit


def require_room(folder: Path, device: torch.device, weight_bytes: int, copies: int = 1) -> None:
    """Refuse weights that cannot fit, before loading them takes minutes and ends in a kill.

    Args:
        folder: holds the weights.
        weight_bytes: what the device takes for one weight.
        copies: how many processes hold the weights in the machine's memory.

    Raises:
        EngineUnavailable: more is needed than is free; the message says how much.
    """
    weights = 0
    # Files that cannot be read, loading them tells about.
    with suppress(OSError, SafetensorError):
        for file in weight_files(folder):
            with safe_open(file, framework="numpy") as opened:
                for name in opened.keys():  # noqa: SIM118 - it is no mapping
                    weights += math.prod(opened.get_slice(name).get_shape())
    # They are read into the machine's memory in float32, whatever a device makes of them.
    hint = "a container's limit counts" + (f", {copies} processes take them" * (copies > 1))
    needs = [("memory", 4 * weights * copies, free_bytes_on_cpu(at_most=True), hint)]
    if device.type == "cuda":
        on_gpu = weight_bytes * weights
        needs.append(("GPU memory", on_gpu, free_bytes(device), "other processes may use it"))
    for kind, needed, free, hint in needs:
        if free is not None and needed > free:
            raise EngineUnavailable(
                f"{folder}: its weights need {needed / 1e9:.2f} GB of {kind} and {free / 1e9:.2f} "
                f"GB are free ({hint}). Give the process more, or serve a smaller model."
            )


def free_bytes(device: torch.device) -> int | None:
    """Return what this process may still take; None where the system does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch's allocator has cached is free for the next batch, too.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free_bytes_on_cpu()


def free_bytes_on_cpu(*, at_most: bool = False) -> int | None:
    """Return what the machine, or the container, has left; None where the system does not say.

    Args:
        at_most: return what could be had at the very most, with swap and with what the kernel
            holds of files that are in use.
    """
    available = read_kilobytes(_PROC / "meminfo", "MemAvailable")
    if at_most and available is not None:
        available += read_kilobytes(_PROC / "meminfo", "SwapFree") or 0
    known = [available]
    # /proc/meminfo is the whole machine's, and does not know a container's limit.
    for limit, usage, statistics in _CGROUP_FILES:
        try:
            allowed, used = ((_CGROUP / name).read_text().strip() for name in (limit, usage))
        except OSError:
            continue
        if allowed != "max":
            left = int(allowed) - int(used)
            # Usage counts what the kernel keeps of files that were read, such as a release's, and
            # what it keeps unused is dropped when memory is needed.
            for kept in ("inactive_file", "active_file")[: 2 if at_most else 1]:
                with suppress(OSError):
                    text = (_CGROUP / statistics).read_text()
                    cached = re.search(rf"^(?:total_)?{kept} (\d+)$", text, re.MULTILINE)
                    left += int(cached[1]) if cached else 0
            known.append(max(0, left))
        break
    return min((value for value in known if value is not None), default=None)


def resident_bytes() -> int | None:
    """Return what this process and those that it started hold; None where the system does not say.

    Of a page that several of them share, each that was started counts its part.
    """
    total = read_kilobytes(_PROC / "self/status", "VmRSS")
    if total is not None:
        with suppress(OSError):  # a thread may end meanwhile
            for thread in (_PROC / "self/task").iterdir():
                for child in (thread / "children").read_text().split():
                    total += read_kilobytes(_PROC / child / "smaps_rollup", "Pss") or 0
    return total


def measure_peak_on_gpu(run: Callable[[], None]) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return torch.cuda.max_memory_allocated() - before


def measure_peak_on_cpu(run: Callable[[], None]) -> int:
    """Return by how much the resident peak grows; 0 where the system does not let us measure it."""
    try:
        # Linux sets VmHWM, the peak, back to VmRSS, what is resident now.
        (_PROC / "self/clear_refs").write_text("5")
    except OSError:
        return 0
    # Memory that malloc keeps of earlier work would be used again, and growth would not be seen.
    trim()
    before = read_kilobytes(_PROC / "self/status", "VmRSS") or 0
    run()
    return (read_kilobytes(_PROC / "self/status", "VmHWM") or 0) - before


def read_kilobytes(file: Path, field: str) -> int | None:
    """Return a field of a file of /proc in bytes; None where there is none."""
    try:
        found = re.search(rf"^{field}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
