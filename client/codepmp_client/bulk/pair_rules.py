"""Pair rules: which of a prompt's candidates are compared, by their scores.

A rule reads the candidates of one prompt and yields pairs whose chosen candidate has the higher
score. What it yields does not depend on other prompts.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, pstdev
from typing import Literal, get_args

from codepmp_client.bulk.scored_prompt import ScoredCandidate
from codepmp_client.bulk.tally import Tally

RuleName = Literal["best-worst", "best-each", "margin", "best-deviation", "mean-deviation"]
RULES: tuple[RuleName, ...] = get_args(RuleName)

DEVIATIONS = {"best-deviation": 2.0, "mean-deviation": 1.0}
"""Standard deviations of the rules that have such a number, unless another one is asked for."""

# 0.3 - 0.2 is less than 0.1 in binary, and such a pair must reach a margin of 0.1.
EPSILON = 1e-9

CandidatePair = tuple[ScoredCandidate, ScoredCandidate]
"""The chosen candidate and the rejected one."""


@dataclass(frozen=True)
class PairRule:
    """A rule with its limits.

    Attributes:
        margin: by which the chosen score is higher than the rejected one, at least.
        deviations: standard deviations; None takes those of `DEVIATIONS`.
        max_pairs: of one prompt, drawn with `seed`; None keeps all.
    """

    name: RuleName
    margin: float = 0.0
    deviations: float | None = None
    max_pairs: int | None = None
    seed: int = 0

    def pairs(self, candidates: Sequence[ScoredCandidate], tally: Tally) -> list[CandidatePair]:
        """Return the pairs of one prompt, those of the best candidate first."""
        if len(candidates) < 2:
            tally.prompts_left_out["fewer than two candidates to compare"] += 1
            return []
        ranked = sorted(candidates, key=lambda each: (-each.score, each.index))
        if ranked[0].score == ranked[-1].score:
            tally.prompts_left_out["all scores are equal"] += 1
            return []
        proposed = self._proposed(ranked)
        untied = [(good, bad) for good, bad in proposed if good.score > bad.score]
        found = [(g, b) for g, b in untied if g.score - b.score >= self.margin - EPSILON]
        # `+=` with 0 would make an entry.
        tally.pairs_left_out.update(["equal scores"] * (len(proposed) - len(untied)))
        tally.pairs_left_out.update(["less than the margin"] * (len(untied) - len(found)))
        if not found:
            tally.prompts_left_out["the rule and its margin leave no pair"] += 1
            return []
        if self.max_pairs is not None and len(found) > self.max_pairs:
            tally.pairs_left_out["over the limit of a prompt"] += len(found) - self.max_pairs
            drawn = set(map(_indices, sorted(found, key=self._draw)[: self.max_pairs]))
            found = [pair for pair in found if _indices(pair) in drawn]
        return found

    def _proposed(self, ranked: list[ScoredCandidate]) -> list[CandidatePair]:
        """Pair candidates that are ranked, the best first. Some pairs may have equal scores."""
        best, worst = ranked[0], ranked[-1]
        scores = [each.score for each in ranked]
        match self.name:
            case "best-worst":
                return [(best, worst)]
            case "best-each":
                return [(best, other) for other in ranked[1:]]
            case "margin":
                return list(combinations(ranked, 2))
            case "best-deviation":
                # The worst of many candidates teaches less the more there are (2502.16825).
                target = fmean(scores) - self._reach(scores)
                worse = [each for each in ranked if each.score < best.score]
                return [(best, min(worse, key=lambda each: abs(each.score - target)))]
            case "mean-deviation":
                # Of two candidates each is exactly one deviation away, whatever rounding says.
                mean, reach = fmean(scores), self._reach(scores) - EPSILON
                above = [each for each in ranked if each.score >= mean + reach]
                below = [each for each in ranked if each.score <= mean - reach]
                return [(good, bad) for good in above for bad in below if good.score > bad.score]

    def _reach(self, scores: list[float]) -> float:
        k = DEVIATIONS[self.name] if self.deviations is None else self.deviations
        return k * pstdev(scores)

    def _draw(self, pair: CandidatePair) -> bytes:
        # By the texts, so that a draw does not depend on the order of the rows in their file.
        texts = "\0".join([str(self.seed), pair[0].text, pair[1].text])
        return hashlib.sha256(texts.encode("utf-8", "surrogatepass")).digest()


def _indices(pair: CandidatePair) -> tuple[int, int]:
    return pair[0].index, pair[1].index
