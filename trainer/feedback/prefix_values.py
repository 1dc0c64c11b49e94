"""The value of a prefix: the mean share of tests that its completions pass, with its interval."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from trainer.feedback.pass_count import PassCount
from trainer.feedback.prefixes import Prefix
from trainer.feedback.sample import Sample

# Two-sided 95 % of the normal distribution.
_Z = 1.959964


@dataclass(frozen=True)
class PrefixValue:
    """The value of a prefix: the mean share of tests that its completions pass.

    Attributes:
        value: mean share of tests passed.
        low, high: its 95 % interval over completions.
        completions: how many have a label.
        tests: tests of the problem.
    """

    prefix: str
    value: float
    low: float
    high: float
    completions: int
    tests: int


def wilson(mean: float, number: int) -> tuple[float, float]:
    """Wilson's score interval (1927), 95 %, of the mean of `number` values from 0 to 1.

    It is made for values that are 0 or 1. Values between them vary less around the same mean, so
    for shares it is wide rather than narrow. With the 3 to 5 completions of a prefix a bootstrap
    would be too narrow: it has no width at all where they agree.
    """
    spread = _Z * math.sqrt(mean * (1 - mean) / number + (_Z / (2 * number)) ** 2)
    center = mean + _Z**2 / (2 * number)
    scale = 1 + _Z**2 / number
    return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)


def prefix_values(
    prefixes: Iterable[Prefix],
    completions: Iterable[Sample],
    passes: Iterable[PassCount],
    min_completions: int,
    counts: Counter[str],
) -> dict[str, PrefixValue]:
    """Values by prefix id. `counts` gets the fate of every completion and of every prefix.

    Args:
        passes: pass counts of completions; one without has no label, for example because the
            sandbox failed, and counts for nothing.
        min_completions: a prefix with fewer labelled completions has no value.
    """
    count_of = {each.sample: each for each in passes}
    labelled: dict[str, list[PassCount]] = defaultdict(list)
    for completion in completions:
        found = count_of.get(completion.id)
        if found is None or found.total == 0:
            counts["completion: without label"] += 1
        else:
            counts["completion: labelled"] += 1
            labelled[completion.prefix].append(found)
    values = {}
    for prefix in prefixes:
        found_here = labelled.get(prefix.id, [])
        number = len(found_here)
        if number < max(min_completions, 1):
            counts["prefix: too few labelled completions"] += 1
            continue
        counts["prefix: valued"] += 1
        mean = sum(each.passed / each.total for each in found_here) / number
        values[prefix.id] = PrefixValue(
            prefix.id, mean, *wilson(mean, number), number, found_here[0].total
        )
    return values
