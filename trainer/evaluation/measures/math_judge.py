"""Mathematical answers, read and compared by math-verify in processes that can be killed.

math-verify's own time-outs are signals, which never arrive while it evaluates a power tower
(https://github.com/huggingface/Math-Verify/issues/65).
"""

import logging
import multiprocessing
import re
import resource
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from trainer.evaluation.measures.answers import marked, tail
from trainer.pipeline.progress import ProgressBar

# A process that asks for more memory gets a MemoryError: a power tower would take all there is.
MAX_BYTES = 4 * 2**30

PLAIN_NUMBER = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)")

MARKS = ("\\$", "$", "\\(", "\\)", "\\!", "\\,", "\\%", "%", "€", "£")

T = TypeVar("T")
R = TypeVar("R")


class MathJudge:
    """Judges answers as math-verify does; a context manager that ends its processes.

    Args:
        timeout: seconds for one answer or one comparison, after which its process is killed.

    Attributes:
        counts: number of undecided cases by reason. An undecided answer counts as missing, an
            undecided pair as different.
        undecided: the passages and pairs that are undecided.
    """

    def __init__(self, *, timeout: float = 10.0, processes: int = 2) -> None:
        self.counts: Counter[str] = Counter()
        self.undecided: set[str | tuple[str, str]] = set()
        self._timeout = timeout
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, "math_verify"])
        self._pool = ProcessPool(processes, initializer=limit_memory, context=context)
        self._same: dict[tuple[str, str], bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]  # its package says it is typed
        self._pool.join()

    def extract(self, passages: Sequence[str]) -> dict[str, str]:
        """The answer that is marked, or else the one that math-verify finds near the end."""
        found = {passage: marked(passage) for passage in passages}
        unmarked = [passage for passage, answer in found.items() if answer is None]
        searched = self._map(extract_answer, [tail(passage) for passage in unmarked], "extract")
        for passage, answer in zip(unmarked, searched, strict=True):
            found[passage] = answer or ""
            if answer is None:
                self.undecided.add(passage)
        return {passage: answer or "" for passage, answer in found.items()}

    def same(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bool]:
        """Plain numbers are compared here; all else by math-verify, each pair once."""
        hard = []
        for pair in dict.fromkeys(pairs):
            if pair in self._same:
                continue
            left, right = map(number, pair)
            if pair[0] == pair[1]:
                self._same[pair] = True
            elif left is not None and right is not None:
                self._same[pair] = left == right
            else:
                hard.append(pair)
        judged = self._map(are_equal, hard, "compare")
        for pair, equal in zip(hard, judged, strict=True):
            self._same[pair] = bool(equal)
            if equal is None:
                self.undecided.add(pair)
        return {pair: self._same[pair] for pair in pairs}

    def _map(self, function: Callable[[T], R], items: list[T], what: str) -> Iterator[R | None]:
        """Results in order; None if the process had to be killed, or ran out of a resource."""
        if not items:
            return
        results = self._pool.map(function, items, timeout=self._timeout).result()
        for _ in ProgressBar(items, desc=f"{what} answers"):
            try:
                yield next(results)
            except TimeoutError:
                self.counts[f"{what}: took too long"] += 1
                yield None
            except (ProcessExpired, MemoryError, RecursionError, OverflowError):
                self.counts[f"{what}: took too much"] += 1
                yield None


def extract_answer(passage: str) -> str:
    """The last answer in a passage as it is written there; runs in a process of the pool."""
    from math_verify import parse

    found = parse(passage, parsing_timeout=None)
    return str(found[-1]) if found else ""


def are_equal(pair: tuple[str, str]) -> bool:
    """Whether two answers are equal; runs in a process of the pool."""
    from math_verify import parse, verify

    left, right = (parse(f"\\boxed{{{answer}}}", parsing_timeout=None) for answer in pair)
    # math-verify is not symmetric: it treats the first argument as the truth.
    return bool(
        verify(left, right, timeout_seconds=None) or verify(right, left, timeout_seconds=None)
    )


def number(answer: str) -> Fraction | None:
    """The value of a plain number, also as money and with separated thousands; else None."""
    if "%" in answer:
        return None  # math-verify decides whether 50 % equals 50
    for mark in MARKS:
        answer = answer.replace(mark, "")
    bare = answer.strip()
    if not PLAIN_NUMBER.fullmatch(bare):
        return None
    return Fraction(bare.replace(",", "").rstrip("."))


def limit_memory() -> None:
    """Initialize a process of the pool."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = MAX_BYTES if hard == resource.RLIM_INFINITY else min(MAX_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    # It warns that its own time-outs are off, which is why these processes exist.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
