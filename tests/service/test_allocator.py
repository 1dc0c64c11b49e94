"""Freed memory goes back to the system."""

import asyncio
import subprocess
import sys

from benchmarks.harness.processes import MALLOC
from service.allocator import Trimmer

# A process of its own, in which malloc keeps what is freed, as it does where the service runs.
_MEASURE = """
from service.allocator import trim

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

held = [bytes(4000) for _ in range(50_000)]
before = resident()
held.clear()
kept = resident()
trim()
print(before - kept, before - resident())
"""


def test_memory_that_malloc_keeps_goes_back() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _MEASURE], env=MALLOC, capture_output=True, text=True, check=True
    )
    freed, trimmed = map(int, ran.stdout.split())
    assert freed < 50_000_000, "malloc keeps it"
    assert trimmed > 150_000_000


async def test_many_large_requests_cost_one_walk_through_memory() -> None:
    loop, trimmer = asyncio.get_running_loop(), Trimmer()
    before = len(getattr(loop, "_scheduled", ()))
    for _ in range(5):
        trimmer.trim_soon()
    assert len(getattr(loop, "_scheduled", ())) == before + 1
