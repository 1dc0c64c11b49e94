"""Memory that a thread frees stays with the process, in a process of its own for each case."""

import os
import subprocess
import sys

import pytest

# A thread takes and frees more than malloc would keep, as the engine's does; the last round's page
# faults are printed.
_PROGRAM = """
import resource, threading
import torch
from service.engines.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def rounds():
    for _ in range(30):
        before = faults()
        left, right = torch.ones(2, 5_000_000).unbind()
        product = left * right
        product = product + left.clone()
        del left, right, product
        last.append(faults() - before)

last = []
kept = keep_freed_memory()
thread = threading.Thread(target=rounds)
thread.start()
thread.join()
print(int(kept), last[-1])
"""

_PAGES = 4 * 20_000_000 // os.sysconf("SC_PAGE_SIZE")

pytestmark = pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="malloc is not glibc's"
)


def in_a_process(**environment: str) -> tuple[bool, int]:
    """Whether it says that memory stays, and the faults of a round."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if name != "GLIBC_TUNABLES" and not name.startswith("MALLOC_")
    }
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env=ours | environment,
    )
    kept, faults = map(int, done.stdout.split())
    return bool(kept), faults


def test_what_a_thread_frees_is_used_again() -> None:
    kept, faults = in_a_process()
    assert kept
    assert faults < _PAGES / 100


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_settings_of_the_environment_stay(name: str) -> None:
    value = "glibc.malloc.arena_max=2" if name == "GLIBC_TUNABLES" else "2"
    kept, _ = in_a_process(**{name: value})
    assert not kept
