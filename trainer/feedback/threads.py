"""Work on threads that wait for a sandbox: results in order, and a progress bar."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from trainer.pipeline.progress import ProgressBar

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
        running = [pool.submit(function, item) for item in items]
        # As they end: a slow one neither stops the bar nor hides the error of another.
        for done in ProgressBar(
            as_completed(running), desc=what, unit=f" {unit}", total=len(items)
        ):
            done.result()
        return [each.result() for each in running]
    finally:
        pool.shutdown(cancel_futures=True)
