from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.feedback.problems import ADD, SUM, write_problems
from tests.trainer.feedback.rows import (
    SAMPLER,
    answer,
    make_passes,
    make_samples,
    make_stage,
)
from trainer.feedback.pass_count import PassCount
from trainer.feedback.prefixes import STEM, Prefix
from trainer.feedback.problem import Problem
from trainer.feedback.process_pairs import ProcessPairsConfig, run
from trainer.pairs.policy_row import PolicyRow, read_policy_rows
from trainer.pipeline.stage import StageError, read_manifest


def prefix(name: str, text: str = "", problem: str = "add") -> Prefix:
    made = Prefix(name, "s", problem, f"Solve {problem}.", text or f"{name} = 1", 1, 5, SAMPLER)
    return replace(made, prompt_ids=(1, 2), token_ids=(3, len(name)), log_probs=(-0.1, -0.2))


def pairs(
    work: Path,
    passed: dict[Prefix, list[int]],
    config: ProcessPairsConfig,
    total: int = 10,
    problem: Problem = ADD,
) -> list[PolicyRow]:
    """The rows of prefixes whose completions pass so many tests."""
    write_problems(work / "problems", problem)
    make_stage(work / "prefixes", STEM, list(passed))
    labels = [
        (each, f"{each.id}-{number}", count)
        for each, numbers in passed.items()
        for number, count in enumerate(numbers)
    ]
    make_samples(
        work, [answer(name, "", prefix=each.id) for each, name, _ in labels], "completions"
    )
    passes = [PassCount(name, each.problem, count, total) for each, name, count in labels]
    make_passes(work, passes, "votes_completions")
    run(config, work, work / "process_pairs")
    return read_policy_rows(work / "process_pairs")


def compared(rows: list[PolicyRow]) -> set[tuple[str, str]]:
    return {(row.chosen.id, rival.id) for row in rows for rival in row.rejected}


def test_a_chosen_prefix_passes_half_and_its_rejected_over_four_tests_fewer(
    tmp_path: Path,
) -> None:
    passed = {
        prefix("all"): [10, 10, 10],
        prefix("half"): [5, 5, 5],
        prefix("less"): [4, 5, 5],
        prefix("four"): [1, 1, 1],  # exactly four below half: not more than four
        prefix("none"): [0, 0, 0],
    }
    rows = pairs(tmp_path, passed, ProcessPairsConfig())
    assert compared(rows) == {
        *(("all", other) for other in ("half", "less", "four", "none")),
        ("half", "none"),
    }


def test_rows_are_prefixes_with_exact_ids_and_without_an_end(tmp_path: Path) -> None:
    good, bad = prefix("good"), prefix("bad")
    (row,) = pairs(
        tmp_path, {good: [10, 9, 8], bad: [0, 1, 2]}, ProcessPairsConfig(source="round 1")
    )
    assert not row.ends
    assert row.prompt_ids == (1, 2)
    assert (row.chosen.token_ids, row.chosen.log_probs) == (good.token_ids, good.log_probs)
    assert row.chosen.text == good.text
    assert row.chosen.value == pytest.approx(0.9)
    assert [each.token_ids for each in row.rejected] == [bad.token_ids]
    assert (row.group, row.prompt, row.source) == ("add", "Solve add.", "round 1")
    assert (row.sampler, row.template) == (SAMPLER.weights, SAMPLER.template)


def test_a_margin_may_be_a_share_of_the_tests(tmp_path: Path) -> None:
    passed = {prefix("good"): [3, 3, 3], prefix("bad"): [1, 1, 2]}
    with pytest.raises(StageError, match="margin_share"):
        pairs(tmp_path, passed, ProcessPairsConfig(), total=3)
    rows = pairs(tmp_path, passed, ProcessPairsConfig(margin_share=0.4), total=3)
    assert compared(rows) == {("good", "bad")}


def test_prefixes_of_answers_need_two_right_completions_of_three(tmp_path: Path) -> None:
    passed = {
        prefix(f"p{right}", problem="sum"): [1] * right + [0] * (3 - right) for right in range(4)
    }
    config = ProcessPairsConfig(evaluation_share=0.0, calibration_share=0.0)
    rows = pairs(tmp_path, passed, config, total=1, problem=SUM)
    assert compared(rows) == {(good, bad) for good in ("p2", "p3") for bad in ("p0", "p1")}


def test_a_prefix_and_its_own_continuation_are_compared_unless_told_otherwise(
    tmp_path: Path,
) -> None:
    passed = {
        prefix("short", "a = 1"): [9, 9, 9],
        prefix("long", "a = 1\nb = 0"): [0, 0, 0],
        prefix("other", "c = 0"): [0, 0, 0],
    }
    rows = pairs(tmp_path, passed, ProcessPairsConfig())
    assert compared(rows) == {("short", "long"), ("short", "other")}
    assert read_manifest(tmp_path / "process_pairs")["counts"]["pair: kept, nested"] == 1
    rows = pairs(tmp_path, passed, ProcessPairsConfig(nested=False))
    assert compared(rows) == {("short", "other")}


def test_only_prefixes_of_the_same_prompt_are_compared(tmp_path: Path) -> None:
    good, bad = prefix("good"), replace(prefix("bad"), prompt="In other words.")
    with pytest.raises(StageError, match="no two prefixes"):
        pairs(tmp_path, {good: [9, 9, 9], bad: [0, 0, 0]}, ProcessPairsConfig())


def test_limits_of_a_problem_and_of_a_row_hold_and_what_is_over_is_counted(
    tmp_path: Path,
) -> None:
    passed = {prefix(f"good{number}"): [10] * 3 for number in range(5)}
    passed |= {prefix(f"bad{number}"): [0] * 3 for number in range(5)}
    rows = pairs(tmp_path, passed, ProcessPairsConfig(max_pairs=7, max_rejected=2))
    assert len(compared(rows)) == 7
    assert max(len(row.rejected) for row in rows) == 2
    counts = read_manifest(tmp_path / "process_pairs")["counts"]
    assert (counts["pairs"], counts["pair: over the limits"]) == (7, 18)
    again = pairs(tmp_path, passed, ProcessPairsConfig(max_pairs=7, max_rejected=2))
    assert again == rows


def test_held_out_problems_have_no_rows_unless_all_are_asked_for(tmp_path: Path) -> None:
    passed = {prefix("good"): [10, 10, 10], prefix("bad"): [0, 0, 0]}
    everything = ProcessPairsConfig(evaluation_share=1.0, policy_rows="all")
    assert len(pairs(tmp_path, passed, everything)) == 1
    with pytest.raises(StageError, match="'problem: held out': 1"):
        pairs(tmp_path, passed, ProcessPairsConfig(evaluation_share=1.0))


def test_the_manifest_tells_how_values_are_spread(tmp_path: Path) -> None:
    pairs(tmp_path, {prefix("good"): [10] * 3, prefix("bad"): [0] * 3}, ProcessPairsConfig())
    values = read_manifest(tmp_path / "process_pairs")["values"]
    assert values["tenths"] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert values["completions"] == 6
