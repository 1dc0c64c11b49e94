"""How large a batch may be: what a token takes, measured, against the memory that is free."""

import ctypes
import logging
import re
from collections.abc import Callable
from pathlib import Path

import torch

_log = logging.getLogger(__name__)

_SHARE = 0.6
"""Of the free memory that one batch may take; allocators fragment, and we are not alone."""

_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


def tokens_that_fit(device: torch.device, compute: Callable[[], None], probe: int) -> int | None:
    """Tokens of the largest batch that memory has room for; None where it cannot be measured.

    Args:
        compute: runs a batch of `probe` tokens.
    """
    taken = _taken_on_gpu if device.type == "cuda" else _taken_on_cpu
    free = free_bytes(device)
    peak = taken(compute)
    if peak <= 0 or free is None:
        return None
    per_token = max(1, peak // probe)
    fit = max(1, int(_SHARE * free) // per_token)
    _log.info(
        "a token takes %d bytes, %d MB are free: %d tokens fit", per_token, free // 10**6, fit
    )
    return fit


def free_bytes(device: torch.device) -> int | None:
    """What this process may still take; None where the system does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    known = [value for value in (_available(), _left_in_cgroup()) if value is not None]
    return min(known, default=None)


def _taken_on_gpu(run: Callable[[], None]) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return torch.cuda.max_memory_allocated() - before


def _taken_on_cpu(run: Callable[[], None]) -> int:
    """Growth of the resident peak, which Linux lets us reset; 0 elsewhere."""
    try:
        (_PROC / "self/clear_refs").write_text("5")
    except OSError:
        return 0
    _give_back_freed()
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def _give_back_freed() -> None:
    """What the allocator keeps of earlier work would be used again, and not be seen to grow."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
    if trim is not None:
        trim(0)


def _status(field: str) -> int:
    return _kilobytes(_PROC / "self/status", field) or 0


def _available() -> int | None:
    return _kilobytes(_PROC / "meminfo", "MemAvailable")


def _kilobytes(file: Path, field: str) -> int | None:
    try:
        found = re.search(rf"^{field}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _left_in_cgroup() -> int | None:
    """A container's limit, which /proc/meminfo knows nothing of: version 2 of cgroups, then 1."""
    for limit, usage in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most, used = ((_CGROUP / name).read_text().strip() for name in (limit, usage))
        except OSError:
            continue
        return None if most == "max" else max(0, int(most) - int(used))
    return None
