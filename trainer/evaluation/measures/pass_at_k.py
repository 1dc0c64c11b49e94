"""pass@k: how likely one of k samples of a problem passes (Chen et al. 2021, arXiv 2107.03374)."""

from collections.abc import Iterable
from math import comb


def pass_at_k(samples: int, passing: int, k: int) -> float:
    """Unbiased estimate from more than k samples: 1 - C(n-c, k) / C(n, k).

    That is the share of all draws of k of the n samples that hold a passing one. The mean of
    1 - (1 - c/n)^k, which looks alike, is biased.
    """
    assert 0 <= passing <= samples
    assert 0 < k <= samples
    return 1.0 - comb(samples - passing, k) / comb(samples, k)


def mean_pass_at_k(problems: Iterable[tuple[int, int]], k: int) -> float | None:
    """Mean over problems, each given as (samples, passing); None if one has fewer than k samples.

    Leaving out only the problems with too few samples would compare different problems.
    """
    values = [
        pass_at_k(samples, passing, k) if samples >= k else None for samples, passing in problems
    ]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
