"""Work on threads that wait for a sandbox: results in order, and a progress bar."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
R = TypeVar("R")


def in_threads(
    function: Callable[[T], R], items: Sequence[T], workers: int, *, what: str, unit: str
) -> list[R]:
    """The function's results on all items. After an error or an interruption nothing more begins.

    Args:
        what, unit: for the bar: what is done, and to what.
    """
    pool = ThreadPoolExecutor(workers)
    try:
        results = pool.map(function, items)
        return list(tqdm(results, desc=what, unit=f" {unit}", total=len(items)))
    finally:
        pool.shutdown(cancel_futures=True)
