"""Pair rules: which of a policy's answers to one problem are compared, by how many tests they pass.

A rule reads a problem's answers, each with its pass count, and yields pairs of them. What it yields
depends on the answers alone: not on their order, and not on other problems.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from statistics import fmean, pstdev
from typing import Literal

# Shares such as 0.6 are not exact in binary, and 6 of 10 tests must reach 0.6.
EPSILON = 1e-9

# `kind` tells the rules apart when a recipe or a manifest is read back.


@dataclass(frozen=True)
class Candidate:
    """An answer that a rule may choose or reject.

    Attributes:
        id: id of the sample.
        passed, total: as in `PassCount`; all candidates of a problem have the same total.
    """

    id: str
    passed: int
    total: int

    @property
    def share(self) -> float:
        return self.passed / self.total


Pair = tuple[Candidate, Candidate]
"""The chosen candidate and the rejected one."""


@dataclass(frozen=True)
class PassMargin:
    """Every pair whose chosen answer passes enough tests, and enough more than the rejected one.

    The rule of PFPO (arXiv 2411.16345) for self-consistent tests; with tests of a frontier model
    its `min_difference` is 4. A problem has ten tests there.

    Attributes:
        min_share: share of the tests that the chosen answer passes at least.
        min_difference: tests that it passes more than the rejected one, at least. A number below 1
            is a share of the tests, for problems with other numbers of them.
    """

    min_share: float = 0.5
    min_difference: float = 6.0
    kind: Literal["pass_margin"] = "pass_margin"

    def pairs(self, candidates: Sequence[Candidate]) -> list[Pair]:
        found = []
        for chosen, rejected in permutations(_ordered(candidates), 2):
            needed = self.min_difference * (chosen.total if self.min_difference < 1 else 1)
            difference = chosen.passed - rejected.passed
            if (
                chosen.share >= self.min_share - EPSILON
                and difference >= needed - EPSILON
                and difference > 0
            ):
                found.append((chosen, rejected))
        return found


@dataclass(frozen=True)
class AllOverAny:
    """Every answer that passes all tests over every one that fails any (arXiv 2410.18585).

    With a single test, and with `max_pairs_per_problem` 1, this is PFPO's rule for mathematics: one
    random right answer over one random wrong one.
    """

    kind: Literal["all_over_any"] = "all_over_any"

    def pairs(self, candidates: Sequence[Candidate]) -> list[Pair]:
        return [
            (chosen, rejected)
            for chosen, rejected in permutations(_ordered(candidates), 2)
            if chosen.passed == chosen.total and rejected.passed < rejected.total
        ]


@dataclass(frozen=True)
class AceCode:
    """Every pair of a good answer over one that is worse by enough and not worthless.

    The rule of AceCoder (arXiv 2502.01718).

    Attributes:
        min_chosen: share of the tests that the chosen answer passes at least.
        min_difference: by which its share is larger than that of the rejected one, at least.
        above: share of the tests that the rejected answer passes more of. An answer that passes
            none is often no attempt at all, and is told from a good one too easily.
    """

    min_chosen: float = 0.8
    min_difference: float = 0.4
    above: float = 0.0
    kind: Literal["ace_code"] = "ace_code"

    def pairs(self, candidates: Sequence[Candidate]) -> list[Pair]:
        return [
            (chosen, rejected)
            for chosen, rejected in permutations(_ordered(candidates), 2)
            if chosen.share >= self.min_chosen - EPSILON
            and chosen.share - rejected.share >= self.min_difference - EPSILON
            and chosen.passed > rejected.passed
            and rejected.share > self.above
        ]


@dataclass(frozen=True)
class MeanMinusDeviations:
    """The best answer over the one whose share is nearest to the mean less some deviations.

    The worst of many answers teaches less the more there are, and this rejected answer does not
    (arXiv 2502.16825). Mean and deviation are over the shares of the problem's answers.
    """

    deviations: float = 2.0
    kind: Literal["mean_minus_deviations"] = "mean_minus_deviations"

    def pairs(self, candidates: Sequence[Candidate]) -> list[Pair]:
        shares = [candidate.share for candidate in candidates]
        if len(set(shares)) < 2:
            return []
        # Sums of floats depend on their order.
        ordered = sorted(shares)
        target = fmean(ordered) - self.deviations * pstdev(ordered)
        best = [candidate for candidate in candidates if candidate.share == max(shares)]
        worse = [candidate for candidate in candidates if candidate.share < max(shares)]
        nearest = min(abs(candidate.share - target) for candidate in worse)
        near = [each for each in worse if abs(each.share - target) <= nearest + EPSILON]
        return [(drawn(best, "chosen"), drawn(near, "rejected"))]


MarginRule = PassMargin | AllOverAny | AceCode | MeanMinusDeviations


@dataclass(frozen=True)
class Random:
    """The control: as many pairs as another rule finds in a problem, of answers drawn at random.

    A policy that gains as much from these pairs has not learnt from the labels.

    Attributes:
        like: the rule that decides which problems have pairs, and how many.
    """

    like: MarginRule = field(default_factory=PassMargin)
    seed: int = 1
    kind: Literal["random"] = "random"

    def pairs(self, candidates: Sequence[Candidate]) -> list[Pair]:
        wanted = len(self.like.pairs(candidates))
        ordered = _ordered(candidates)
        rng = random.Random(" ".join([str(self.seed), *(each.id for each in ordered)]))
        # A rule may pair two answers in one way only, so there are always enough.
        sides = rng.sample(list(combinations(ordered, 2)), wanted)
        return [(two[0], two[1]) if rng.random() < 0.5 else (two[1], two[0]) for two in sides]


Rule = MarginRule | Random


def pairs_of(
    rule: Rule,
    candidates: Sequence[Candidate],
    max_pairs: int | None,
    seed: int,
    counts: Counter[str],
) -> list[Pair]:
    """The rule's pairs of one problem, at most `max_pairs` of them, drawn by their hashes.

    `counts` gets the fate of the problem and of its pairs.
    """
    shares = {candidate.share for candidate in candidates}
    if len(shares) < 2:
        passed = {0.0: "none", 1.0: "all"}.get(max(shares, default=0.0), "as many")
        counts[f"problems without a pair: every answer passes {passed} of the tests"] += 1
        return []
    found = rule.pairs(candidates)
    if not found:
        counts["problems without a pair: the rule finds none"] += 1
        return []
    found.sort(key=lambda pair: _hash(f"{seed} {pair[0].id} {pair[1].id}"))
    kept = found[:max_pairs]
    counts["problems with pairs"] += 1
    counts["pairs kept"] += len(kept)
    counts["pairs over the problem's limit"] += len(found) - len(kept)
    return kept


def drawn(candidates: Sequence[Candidate], purpose: str) -> Candidate:
    """One of them at random, and always the same one."""
    return min(candidates, key=lambda candidate: _hash(f"{purpose} {candidate.id}"))


def _ordered(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: candidate.id)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
