"""How large a batch may be: the memory that a token takes, measured, against what is free."""

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from service.allocator import trim

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


def free_bytes(device: torch.device) -> int | None:
    """Return what this process may still take; None where the system does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch's allocator has cached is free for the next batch, too.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free_bytes_on_cpu()


def free_bytes_on_cpu() -> int | None:
    """Return what the machine, or the container, has left; None where the system does not say."""
    known = [read_kilobytes(_PROC / "meminfo", "MemAvailable")]
    # /proc/meminfo is the whole machine's, and does not know a container's limit.
    for limit, usage, statistics in _CGROUP_FILES:
        try:
            allowed, used = ((_CGROUP / name).read_text().strip() for name in (limit, usage))
        except OSError:
            continue
        if allowed != "max":
            # Usage counts what the kernel keeps of files that were read, such as a release's, and
            # what it keeps unused is dropped when memory is needed.
            with suppress(OSError):
                cached = re.search(
                    r"^(?:total_)?inactive_file (\d+)$",
                    (_CGROUP / statistics).read_text(),
                    re.MULTILINE,
                )
                used = str(int(used) - int(cached[1])) if cached else used
            known.append(max(0, int(allowed) - int(used)))
        break
    return min((value for value in known if value is not None), default=None)


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
