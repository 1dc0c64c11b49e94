from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reward_model.text.chat import Message
from tests.trainer.preferences.rows import EVALUATION, ROWS, row
from trainer.pairs.criteria import NamedCriterion, criteria_for
from trainer.pairs.row import PreferenceRow
from trainer.preferences.doctor.check_pairs import (
    empty_texts,
    held_out_rows,
    large_groups,
    repeated_pairs,
    rows_of_criteria,
)
from trainer.preferences.doctor.findings import Finding


def found(
    check: str, train: list[PreferenceRow], evaluation: list[PreferenceRow] = EVALUATION
) -> Finding:
    findings = [
        empty_texts(train),
        *repeated_pairs(train),
        large_groups(train, evaluation),
        held_out_rows(train, evaluation, evaluates=False),
    ]
    (finding,) = [each for each in findings if each.check == check]
    return finding


def test_pairs_both_ways_round_are_contradictory_within_one_request() -> None:
    there, back = row("there", "p", "a", "b"), row("back", "p", "b ", "a")
    finding = found("contradictory", [there, back])
    assert (finding.severity, finding.count, finding.first) == ("warning", 2, "there")
    assert found("contradictory", [there, row("other", "q", "b", "a")]).severity == "fine"


def test_the_other_answer_may_be_better_by_another_criterion() -> None:
    there = replace(row("there", "p", "a", "b"), aspect="runtime")
    back = replace(row("back", "p", "b", "a"), aspect="readability")
    assert found("contradictory", [there, back]).severity == "fine"
    assert found("contradictory", [there, replace(back, aspect="runtime")]).count == 2


def test_a_criterion_without_training_rows_is_told() -> None:
    rows = [replace(ROWS[0], aspect="runtime"), ROWS[1]]
    fine = rows_of_criteria(rows, criteria_for((), {}, rows))
    assert (fine.severity, fine.message) == ("fine", "rows of each: runtime 1")
    finding = rows_of_criteria(rows, criteria_for((NamedCriterion("memory"),), {}, rows))
    assert finding.severity == "warning"
    assert finding.message.startswith("no training row is of memory:")


def test_a_chain_is_no_contradiction() -> None:
    chain = [row("1", "p", "a", "b"), row("2", "p", "b", "c"), row("3", "p", "a", "c")]
    assert found("contradictory", chain).severity == "fine"


def test_pairs_that_are_there_again_are_counted_beyond_the_first() -> None:
    rows = [row("1", "p", "a", "b", "c"), row("2", "p", "a", "c\n"), row("3", "q", "a", "c")]
    finding = found("duplicate", [*rows, rows[1]])
    assert (finding.severity, finding.count, finding.first) == ("warning", 2, "1")
    assert found("duplicate", rows[::2]).severity == "fine"


def test_turns_are_part_of_what_is_compared() -> None:
    turns = (Message("user", "p"), Message("assistant", "x"), Message("user", "q"))
    assert found("duplicate", [row("1", "q", "a", "b"), row("2", turns, "a", "b")]).count == 0


def test_empty_texts_are_told() -> None:
    empty = [row("1", " ", "a", "b"), row("2", "p", "", "b"), row("3", "p", "a", "b", "\n")]
    finding = found("empty", [*ROWS, *empty])
    assert (finding.severity, finding.count, finding.first) == ("warning", 3, "1")
    returned = row("t", (Message("user", "p"), Message("tool", "")), "a", "b")
    assert found("empty", [returned]).severity == "fine", "a tool may return nothing"


def test_evaluation_rows_are_found_by_group_and_by_request() -> None:
    train = [row("t", "What is  TWO?", "a", "b", group="g")]
    by_group = row("e1", "Another?", "a", "b", group="g")
    by_request = row("e2", "what is two?", "c", "d", group="h")
    for rows, first in (([by_group], "e1"), ([by_request], "e2"), ([by_group, by_request], "e1")):
        finding = found("held out", train, [*EVALUATION, *rows])
        assert (finding.severity, finding.count, finding.first) == ("fatal", len(rows), first)


names = st.lists(st.sampled_from("abcdef"), min_size=1)


@given(names, names)
def test_what_is_held_out_is_found_exactly(train: list[str], evaluation: list[str]) -> None:
    rows = [row(f"t{n}", name, "x", "y", group=name) for n, name in enumerate(train)]
    held_out = [row(f"e{n}", name, "x", "y", group=name) for n, name in enumerate(evaluation)]
    shared = [name for name in evaluation if name in train]
    assert found("held out", rows, held_out).count == len(shared)


def test_pairs_that_differ_in_indentation_are_neither_opposite_nor_repeated() -> None:
    rows = [row("1", "p", "  return s", "return s"), row("2", "p", "    return s", "return s")]
    assert {each.severity for each in repeated_pairs(rows)} == {"fine"}
    assert found("contradictory", [rows[0], row("3", "p", "return s", "  return s")]).count == 2


def test_nothing_held_out_is_a_warning_and_fatal_for_a_run_that_evaluates() -> None:
    assert held_out_rows(ROWS, [], evaluates=False).severity == "warning"
    finding = held_out_rows(ROWS, [], evaluates=True)
    assert finding.severity == "fatal"
    assert "set it to 0" in finding.message


def test_a_group_that_has_most_of_the_rows_is_told() -> None:
    one = [row(f"{n}", "p", "a", "b", group="g") for n in range(11)]
    others = [row(f"o{n}", "p", "a", "b") for n in range(11)]
    finding = found("groups", one + others[:9])
    assert (finding.severity, finding.count, finding.first) == ("warning", 11, "0")
    assert "11 of 20 training rows are one group of 10" in finding.message
    assert found("groups", one + others).severity == "fine"
    assert found("groups", one).severity == "fine", "a handful of rows may be about one problem"
    assert "evaluation rows" in found("groups", others, one + others[:9]).message
