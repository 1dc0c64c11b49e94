import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.feedback.pair_rules import (
    AceCode,
    AllOverAny,
    Candidate,
    MarginRule,
    MeanMinusDeviations,
    PassMargin,
    Random,
    Rule,
    pairs_of,
)

RULES: list[MarginRule] = [
    PassMargin(),
    PassMargin(min_difference=0.4),
    PassMargin(min_share=0.0, min_difference=1),
    AllOverAny(),
    AceCode(),
    AceCode(min_chosen=0.5, min_difference=0.0),
    MeanMinusDeviations(),
    MeanMinusDeviations(deviations=0.5),
]


def made(*passed: int, total: int = 10) -> list[Candidate]:
    return [Candidate(f"s{number}", each, total) for number, each in enumerate(passed)]


def found(rule: Rule, *passed: int, total: int = 10) -> set[tuple[int, int]]:
    pairs = rule.pairs(made(*passed, total=total))
    return {(chosen.passed, rejected.passed) for chosen, rejected in pairs}


@st.composite
def problems(draw: st.DrawFn) -> list[Candidate]:
    total = draw(st.integers(1, 12))
    return made(*draw(st.lists(st.integers(0, total), max_size=8)), total=total)


rules = st.sampled_from(RULES)
seeds = st.integers(0, 3)
limits = st.none() | st.integers(0, 5)


@given(rules, problems())
def test_the_chosen_answer_passes_more(rule: MarginRule, candidates: list[Candidate]) -> None:
    for chosen, rejected in rule.pairs(candidates):
        assert chosen.passed > rejected.passed


@given(rules, problems(), seeds, limits, st.randoms(use_true_random=False), st.booleans())
def test_neither_the_order_nor_another_run_changes_a_pair(
    rule: MarginRule,
    candidates: list[Candidate],
    seed: int,
    limit: int | None,
    rng: random.Random,
    control: bool,
) -> None:
    own: Rule = Random(rule, seed) if control else rule
    first = pairs_of(own, candidates, limit, seed, Counter())
    other = list(candidates)
    rng.shuffle(other)
    assert pairs_of(own, other, limit, seed, Counter()) == first


@given(rules, problems(), seeds, limits)
def test_a_problem_has_at_most_its_limit_and_every_pair_is_counted(
    rule: MarginRule, candidates: list[Candidate], seed: int, limit: int | None
) -> None:
    counts: Counter[str] = Counter()
    kept = pairs_of(rule, candidates, limit, seed, counts)
    every = pairs_of(rule, candidates, None, seed, Counter())
    assert kept == every[:limit]
    assert len(set(every)) == len(every)
    assert counts["pairs kept"] + counts["pairs over the problem's limit"] == len(every)
    problems = [name for name in counts if name.startswith("problems")]
    assert sum(counts[name] for name in problems) == 1


@given(rules, problems(), seeds)
def test_the_control_has_as_many_pairs_of_different_answers(
    rule: MarginRule, candidates: list[Candidate], seed: int
) -> None:
    control = Random(rule, seed).pairs(candidates)
    assert len(control) == len(rule.pairs(candidates))
    assert len({frozenset(pair) for pair in control}) == len(control)
    assert all(chosen != rejected for chosen, rejected in control)


def test_the_control_knows_nothing_of_the_labels() -> None:
    chosen_is_better = [
        chosen.passed > rejected.passed
        for seed in range(50)
        for chosen, rejected in Random(AllOverAny(), seed).pairs(made(10, 10, 0, 0, 0))
    ]
    assert 0.2 < sum(chosen_is_better) / len(chosen_is_better) < 0.45  # the rest are ties, too


def test_the_margin_is_that_of_the_paper() -> None:
    assert found(PassMargin(), 10, 5, 4, 3, 0) == {(10, 4), (10, 3), (10, 0)}
    assert found(PassMargin(), 6, 5, 0) == {(6, 0)}
    assert found(PassMargin(min_difference=4), 5, 1, 0) == {(5, 1), (5, 0)}


def test_a_margin_below_one_is_a_share_of_the_tests() -> None:
    rule = PassMargin(min_difference=0.6)
    assert found(rule, 5, 2, 1, total=5) == {(5, 2), (5, 1)}
    assert found(rule, 10, 4, 5, total=10) == {(10, 4)}


def test_all_tests_are_passed_over_any_failure() -> None:
    assert found(AllOverAny(), 3, 3, 2, 0, total=3) == {(3, 2), (3, 0)}
    assert found(AllOverAny(), 2, 1, total=3) == set()


def test_a_worthless_answer_is_not_rejected_by_the_rule_of_acecoder() -> None:
    assert found(AceCode(), 10, 8, 7, 6, 4, 1, 0) == {
        *((10, 6), (10, 4), (10, 1)),
        *((8, 4), (8, 1)),
    }


def test_the_rejected_answer_is_near_the_mean_less_two_deviations() -> None:
    # The mean is 6.6 and the deviation 2.9: 0.8 is aimed at, not the worst answer.
    assert found(MeanMinusDeviations(), 10, 9, 8, 7, 7, 7, 6, 7, 0, 3) == {(10, 0)}
    assert found(MeanMinusDeviations(deviations=1), 10, 9, 8, 7, 7, 7, 6, 7, 0, 3) == {(10, 3)}


@pytest.mark.parametrize("passed", [(0, 0), (10, 10), (3, 3), (5,), ()])
def test_a_problem_whose_answers_are_alike_is_counted(passed: tuple[int, ...]) -> None:
    for rule in (*RULES, Random()):
        counts: Counter[str] = Counter()
        assert not pairs_of(rule, made(*passed), None, 1, counts)
        assert counts.total() == 1


def test_which_pairs_a_limit_keeps_is_the_seeds() -> None:
    candidates = made(*range(10), 10)
    kept = {tuple(pairs_of(AllOverAny(), candidates, 1, seed, Counter())) for seed in range(20)}
    assert len(kept) > 5
    assert replace(Random(), seed=2) != Random()
