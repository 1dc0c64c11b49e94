from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pairs.group import trimmed
from trainer.pairs.row import PreferenceRow
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.preferences.pairing import Pairing, rows_of
from trainer.tables.record import Unusable


def judged(*answers: RatedAnswer, rated: bool = False) -> RatedAnswers:
    return RatedAnswers("p", answers, "g", rated)


def paired(found: RatedAnswers, pairing: Pairing | None = None) -> list[PreferenceRow]:
    return rows_of(found, pairing or Pairing(), 1, "source", Counter())


def compared(rows: list[PreferenceRow]) -> set[tuple[str, str]]:
    return {(row.chosen, rival.text) for row in rows for rival in row.rejected}


texts = st.text(st.sampled_from("ab \n"), max_size=3)
answers = st.builds(
    RatedAnswer, texts, st.sampled_from([0.0, 1.0, 2.0]), model=st.sampled_from(["", "m", "n"])
)
pairings = st.builds(
    Pairing,
    max_pairs=st.integers(1, 6),
    max_rejected=st.integers(1, 3),
    same_model=st.booleans(),
    min_margin=st.sampled_from([0.0, 1.5]),
)


@given(st.lists(answers, max_size=8), pairings, st.booleans())
def test_every_pair_keeps_its_promises(
    found: list[RatedAnswer], pairing: Pairing, rated: bool
) -> None:
    counts: Counter[str] = Counter()
    try:
        rows = rows_of(judged(*found, rated=rated), pairing, 1, "source", counts)
    except Unusable:
        return
    made = [(row.chosen, rival) for row in rows for rival in row.rejected]
    ratings = {answer.text: answer.rating for answer in found}
    for chosen, rival in made:
        assert trimmed(chosen) != trimmed(rival.text)
        assert chosen.strip()
        assert rival.text.strip()
        assert ratings[chosen] > ratings[rival.text]
        assert ratings[chosen] - ratings[rival.text] >= pairing.min_margin
        assert rival.margin == (ratings[chosen] - ratings[rival.text] if rated else 0)
    assert len({(chosen, rival.text) for chosen, rival in made}) == len(made)
    assert 1 <= len(made) == counts["pairs"] <= pairing.max_pairs
    assert all(1 <= len(row.rejected) <= pairing.max_rejected for row in rows)
    fates = ("kept", "twice", "empty", "judged both ways")
    assert sum(counts[f"answers {fate}"] for fate in fates) == len(found)


def test_every_right_answer_is_paired_with_every_wrong_one() -> None:
    right = [RatedAnswer(f"right {n}", 1) for n in range(3)]
    wrong = [RatedAnswer(f"wrong {n}", 0) for n in range(2)]
    assert compared(paired(judged(*right, *wrong))) == {
        (r.text, w.text) for r in right for w in wrong
    }


def test_rated_answers_are_all_compared_with_the_best() -> None:
    (row,) = paired(
        judged(RatedAnswer("a", 4), RatedAnswer("b", 5), RatedAnswer("c", 1.5), rated=True)
    )
    assert row.chosen == "b"
    assert {rival.text: rival.margin for rival in row.rejected} == {"a": 1, "c": 3.5}


def test_models_are_not_compared_when_one_family_is_asked_for() -> None:
    found = judged(
        RatedAnswer("a", 1, model="m"),
        RatedAnswer("b", 0, model="n"),
        RatedAnswer("c", 1, model="n"),
        RatedAnswer("d", 1, model="o"),
    )
    assert compared(paired(found, Pairing(same_model=True))) == {("c", "b")}


def test_a_cap_leaves_other_pairs_of_the_same_answers_out_and_counts_them() -> None:
    found = [RatedAnswer(f"{n}", n % 2) for n in range(10)]
    counts: Counter[str] = Counter()
    rows = rows_of(judged(*found), Pairing(max_pairs=7, max_rejected=3), 1, "", counts)
    assert len(compared(rows)) == 7
    assert counts["pairs over the request's limit"] == 25 - 7


@pytest.mark.parametrize(
    ("found", "pairing", "reason"),
    [
        ([], Pairing(), "no answer is better"),
        ([RatedAnswer("a", 1), RatedAnswer("b", 1)], Pairing(), "no answer is better"),
        ([RatedAnswer("a\nb", 1), RatedAnswer("a \nb\n", 0)], Pairing(), "the same text"),
        ([RatedAnswer("a", 1), RatedAnswer(" ", 0)], Pairing(), "empty"),
        (
            [RatedAnswer("a", 1, model="m"), RatedAnswer("b", 0, model="n")],
            Pairing(same_model=True),
            "no model",
        ),
        ([RatedAnswer("a", 1), RatedAnswer("b", 0)], Pairing(min_margin=2), "minimum margin"),
    ],
)
def test_what_cannot_be_paired_says_why(
    found: list[RatedAnswer], pairing: Pairing, reason: str
) -> None:
    with pytest.raises(Unusable, match=reason):
        paired(judged(*found), pairing)


def test_a_row_is_named_by_what_it_compares() -> None:
    (one,) = paired(judged(RatedAnswer("a", 1), RatedAnswer("b", 0)))
    (same,) = paired(judged(RatedAnswer("b", 0), RatedAnswer("a", 1)))
    (other,) = paired(judged(RatedAnswer("b", 1), RatedAnswer("a", 0)))
    assert one.id == same.id != other.id


LOOP = "def total(items):\n    s = 0\n    for item in items:\n        s += item\n"
AFTER, INSIDE = LOOP + "    return s", LOOP + "        return s"


def test_programs_that_differ_in_indentation_alone_are_a_pair() -> None:
    (row,) = paired(judged(RatedAnswer(AFTER, 1), RatedAnswer(INSIDE, 0)))
    assert (row.chosen, [rival.text for rival in row.rejected]) == (AFTER, [INSIDE])


def test_a_near_miss_in_indentation_does_not_cost_the_problem_its_right_answer() -> None:
    found = judged(RatedAnswer(AFTER, 1), RatedAnswer(INSIDE, 0), RatedAnswer("return 0", 0))
    assert compared(paired(found)) == {(AFTER, INSIDE), (AFTER, "return 0")}


def test_white_space_at_the_ends_of_lines_makes_no_other_answer() -> None:
    counts: Counter[str] = Counter()
    windows = AFTER.replace("\n", " \r\n") + "\n\n"
    found = judged(RatedAnswer(AFTER, 1), RatedAnswer(windows, 1), RatedAnswer("return 0", 0))
    rows = rows_of(found, Pairing(), 1, "", counts)
    assert compared(rows) == {(AFTER, "return 0")}
    assert counts["answers twice"] == 1
