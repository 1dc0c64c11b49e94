"""Which candidates a rule compares, and what it counts."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codepmp_client.bulk.pair_rules import RULES, PairRule, RuleName
from codepmp_client.bulk.scored_prompt import ScoredCandidate
from codepmp_client.bulk.tally import Tally


def scored(*scores: float) -> list[ScoredCandidate]:
    return [ScoredCandidate(f"text {i}", score, i, None, {}) for i, score in enumerate(scores)]


def pairs(rule: PairRule, *scores: float, tally: Tally | None = None) -> list[tuple[int, int]]:
    found = rule.pairs(scored(*scores), tally or Tally())
    return [(chosen.index, rejected.index) for chosen, rejected in found]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (PairRule("best-worst"), [(2, 0)]),
        (PairRule("best-worst", margin=9), []),
        (PairRule("best-each"), [(2, 3), (2, 1), (2, 0)]),
        (PairRule("best-each", margin=2), [(2, 1), (2, 0)]),
        (PairRule("margin", margin=2), [(2, 1), (2, 0), (3, 0)]),
        # Mean 2.5 and deviation 1.118: the target is 0.26, and 1.38 with a single deviation.
        (PairRule("best-deviation"), [(2, 0)]),
        (PairRule("best-deviation", deviations=0.5), [(2, 1)]),
        (PairRule("mean-deviation"), [(2, 0)]),
        (PairRule("mean-deviation", deviations=0.3), [(2, 1), (2, 0), (3, 1), (3, 0)]),
    ],
)
def test_pairs_of_four_scores(rule: PairRule, expected: list[tuple[int, int]]) -> None:
    assert pairs(rule, 1.0, 2.0, 4.0, 3.0) == expected


def test_two_candidates_are_one_deviation_from_their_mean_whatever_rounding_says() -> None:
    for low, high in [(0.1, 0.3), (-3.3, 7.7), (1e6, 1e6 + 0.1)]:
        assert pairs(PairRule("mean-deviation"), low, high) == [(1, 0)]


def test_a_margin_of_a_tenth_is_reached_by_three_tenths_over_two() -> None:
    assert pairs(PairRule("margin", margin=0.1), 0.2, 0.3) == [(1, 0)]


def test_equal_scores_make_no_pair_and_are_counted() -> None:
    tally = Tally()
    assert pairs(PairRule("margin"), 1.0, 2.0, 2.0, tally=tally) == [(1, 0), (2, 0)]
    assert pairs(PairRule("best-each"), 1.0, 2.0, 2.0, tally=tally) == [(1, 0)]
    assert pairs(PairRule("best-worst"), 1.0, 1.0, tally=tally) == []
    assert tally.pairs_left_out == {"equal scores": 2}
    assert tally.prompts_left_out == {"all scores are equal": 1}


def test_prompts_without_a_pair_are_counted_by_reason() -> None:
    tally = Tally()
    rule = PairRule("margin", margin=5)
    for scores in ([], [1.0], [1.0, 2.0], [3.0, 3.0]):
        assert pairs(rule, *scores, tally=tally) == []
    assert tally.prompts_left_out == {
        "fewer than two candidates to compare": 2,
        "the rule and its margin leave no pair": 1,
        "all scores are equal": 1,
    }
    assert tally.pairs_left_out == {"less than the margin": 1}


def test_a_limit_draws_with_its_seed_and_not_by_position() -> None:
    tally = Tally()
    rule = PairRule("margin", max_pairs=3, seed=1)
    candidates = scored(*range(8))
    drawn = rule.pairs(candidates, tally)
    assert tally.pairs_left_out == {"over the limit of a prompt": 25}
    turned = [replace(each, index=7 - each.index) for each in reversed(candidates)]

    def texts(found: list[tuple[ScoredCandidate, ScoredCandidate]]) -> list[tuple[str, str]]:
        return [(chosen.text, rejected.text) for chosen, rejected in found]

    assert texts(rule.pairs(turned, Tally())) == texts(drawn)
    others = {
        tuple(texts(PairRule("margin", max_pairs=3, seed=seed).pairs(candidates, Tally())))
        for seed in range(5)
    }
    assert len(others) > 1


@given(
    st.sampled_from(RULES),
    st.lists(st.integers(-3, 3).map(float), max_size=7),
    st.floats(0, 4),
    st.integers(1, 9),
)
def test_every_pair_is_ordered_and_no_two_are_the_same(
    name: RuleName, scores: list[float], margin: float, limit: int
) -> None:
    tally = Tally()
    every = pairs(PairRule(name, margin), *scores)
    drawn = pairs(PairRule(name, margin, max_pairs=limit), *scores, tally=tally)
    assert all(scores[good] > scores[bad] for good, bad in every)
    assert all(scores[good] - scores[bad] >= margin - 1e-6 for good, bad in every)
    assert len(set(every)) == len(every)
    assert set(drawn) <= set(every)
    assert len(drawn) == min(limit, len(every))
    assert bool(every) != bool(tally.prompts_left_out)
    if name == "margin" and len(set(scores)) == len(scores):
        assert len(pairs(PairRule(name), *scores)) == len(list(combinations(scores, 2)))
