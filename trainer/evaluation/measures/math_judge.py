"""Mathematical answers, read and compared by math-verify in processes that can be killed.

Its own time-outs are signals, which a power tower never lets through
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
from tqdm import tqdm

from trainer.evaluation.measures.answers import marked, tail

_MOST_BYTES = 4 * 2**30
"""Of memory for one process: what a power tower would take is refused, not given."""

_PLAIN = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)")

_MARKS = ("\\$", "$", "\\(", "\\)", "\\!", "\\,", "\\%", "%", "€", "£")

T = TypeVar("T")
R = TypeVar("R")


class MathJudge:
    """Judges answers; a context that ends its processes.

    Args:
        timeout: seconds for one answer or one comparison, after which its process is killed.

    Attributes:
        counts: what could not be decided, by reason; such answers are none, and such pairs differ.
    """

    def __init__(self, *, timeout: float = 10.0, processes: int = 2) -> None:
        self.counts: Counter[str] = Counter()
        self._timeout = timeout
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, "math_verify"])
        self._pool = ProcessPool(processes, initializer=_limit, context=context)
        self._same: dict[tuple[str, str], bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]  # its package says it is typed
        self._pool.join()

    def extract(self, passages: Sequence[str]) -> dict[str, str]:
        """What is marked as the answer, or else what math-verify finds near the end."""
        found = {passage: marked(passage) for passage in passages}
        unmarked = [passage for passage, answer in found.items() if answer is None]
        searched = self._map(extract_answer, [tail(passage) for passage in unmarked], "extract")
        found |= dict(zip(unmarked, (answer or "" for answer in searched), strict=True))
        return {passage: answer or "" for passage, answer in found.items()}

    def same(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bool]:
        """Numbers are compared here; all else by math-verify, each pair once."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._same]
        easy = {pair: _as_numbers(*pair) for pair in new}
        hard = [pair for pair, equal in easy.items() if equal is None]
        judged = self._map(are_equal, hard, "compare")
        self._same |= {pair: bool(equal) for pair, equal in easy.items()}
        self._same |= {pair: bool(equal) for pair, equal in zip(hard, judged, strict=True)}
        return {pair: self._same[pair] for pair in pairs}

    def _map(self, function: Callable[[T], R], items: list[T], what: str) -> Iterator[R | None]:
        """None where a process had to be killed, or killed itself."""
        if not items:
            return
        results = self._pool.map(function, items, timeout=self._timeout).result()
        for _ in tqdm(items, desc=f"{what} answers"):
            try:
                yield next(results)
            except TimeoutError:
                self.counts[f"{what}: took too long"] += 1
                yield None
            except (ProcessExpired, MemoryError, RecursionError, OverflowError):
                self.counts[f"{what}: took too much"] += 1
                yield None


def extract_answer(passage: str) -> str:
    """The last answer in a passage as it is written there; for a process of its own."""
    from math_verify import parse

    found = parse(passage, parsing_timeout=None)
    return str(found[-1]) if found else ""


def are_equal(pair: tuple[str, str]) -> bool:
    """Either as the truth to the other; for a process of its own."""
    from math_verify import parse, verify

    left, right = (parse(f"\\boxed{{{answer}}}", parsing_timeout=None) for answer in pair)
    return bool(
        verify(left, right, timeout_seconds=None) or verify(right, left, timeout_seconds=None)
    )


def number(answer: str) -> Fraction | None:
    """The value of a plain number, as money and with its thousands marked as well."""
    if "%" in answer:
        return None  # whether 50 % is 50 is math-verify's to say
    for mark in _MARKS:
        answer = answer.replace(mark, "")
    bare = answer.strip()
    if not _PLAIN.fullmatch(bare):
        return None
    return Fraction(bare.replace(",", "").rstrip("."))


def _as_numbers(left: str, right: str) -> bool | None:
    """None where one of them is more than a number."""
    if left == right:
        return True
    values = number(left), number(right)
    return None if None in values else values[0] == values[1]


def _limit() -> None:
    """Each process begins with this."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = _MOST_BYTES if hard == resource.RLIM_INFINITY else min(_MOST_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    # It warns that its own time-outs are off, which is why these processes exist.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
