from collections import Counter

import pytest

from tests.trainer.evaluation.made import RESAMPLING, judged, question
from trainer.evaluation.measures.candidates import curve_sizes, curves, split_by_family
from trainer.evaluation.measures.scored import ScoredQuestion


def pool(size: int, group: str) -> ScoredQuestion:
    """The right candidates score highest and are the shorter ones."""
    correct = [index >= size // 2 for index in range(size)]
    texts = ["short" if right else "much longer" for right in correct]
    scores = [float(index) for index in range(size)]
    return judged(scores, question(correct, group=group, texts=texts))


def test_the_curve_goes_as_far_as_nearly_all_questions_do() -> None:
    assert curve_sizes([16] * 19 + [5], 256) == [1, 2, 4, 8, 16]
    assert curve_sizes([16] * 19 + [5], 6) == [1, 2, 4]
    assert curve_sizes([16, 5], 256) == [1, 2, 4]


def test_a_curve_is_over_the_same_questions_and_beside_all_others() -> None:
    counts: Counter[str] = Counter()
    pools = [pool(16, str(index)) for index in range(19)] + [pool(5, "few")]
    votes = [tuple(int(c) for c in item.question.correct) for item in pools]
    table = curves(pools, votes, 256, RESAMPLING, counts)
    assert counts == {"fewer than 16 candidates": 1}
    for row in table.rows.values():
        assert row["model"].n == 19
        assert row["model"].value == pytest.approx(row["oracle"].value)
        assert row["random"].value == pytest.approx(0.5)
        assert row["weighted_majority"].value >= row["majority"].value - 1e-12
    assert table.rows["16"]["length_only"].value == 0.0
    assert table.rows["1"]["model"].value == pytest.approx(0.5)


def test_without_answers_there_is_no_vote() -> None:
    table = curves([pool(4, "a"), pool(4, "b")], None, 256, RESAMPLING, Counter())
    assert "majority" not in table.rows["4"]


def test_families_compete_among_themselves() -> None:
    both = question((True, False, True), kinds=("gpt/cot", "llama/cot", "gpt/plain"))
    gpt, llama = split_by_family([both])
    assert (gpt.kinds, llama.kinds) == (("gpt/cot", "gpt/plain"), ("llama/cot",))
    assert gpt.group == llama.group == both.group
