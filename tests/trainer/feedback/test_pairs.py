"""The whole stage, on pass counts that are made by hand."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.trainer.feedback.made import (
    function,
    make_problems,
    make_samples,
    make_stage,
    sampled,
)
from trainer.feedback import pass_count
from trainer.feedback.pair_rules import (
    AceCode,
    AllOverAny,
    MeanMinusDeviations,
    PassMargin,
    Random,
    Rule,
)
from trainer.feedback.pairs import PolicyPairsConfig, Replay, run
from trainer.feedback.pass_count import PassCount, Verdict
from trainer.feedback.sample import Sample
from trainer.pairs import policy_row
from trainer.pairs.policy_row import PolicyAnswer, PolicyRow, read_policy_rows
from trainer.pairs.row import SPLITS, read_pairs
from trainer.pipeline.overrides import with_field
from trainer.pipeline.stage import StageError, read_manifest

CONFIG = PolicyPairsConfig(rule=AllOverAny(), evaluation_share=0.3, source="round 1")
MANY = 30


def counted(sample: Sample, passed: int, total: int = 2) -> PassCount:
    verdicts = (Verdict.OK,) * passed + (Verdict.WRONG,) * (total - passed)
    return PassCount(sample.id, sample.problem, passed, total, verdicts)


def make_work(folder: Path, passed: Sequence[int] = (2, 1, 0), problems: int = MANY) -> Path:
    """Problems with a sample for each of these numbers of passed tests, of two."""
    names = [f"p{number}" for number in range(problems)]
    make_problems(folder / "problems", [function(name) for name in names])
    samples = [
        sampled(name, number, token_ids=(7, number), prompt_ids=(1, 2), log_probs=(-0.1, -0.2))
        for name in names
        for number in range(len(passed))
    ]
    make_samples(folder / "samples", samples)
    labels = [counted(sample, passed[sample.number]) for sample in samples]
    make_stage(folder / "votes", {pass_count.STEM: labels})
    return folder


def counts(folder: Path) -> dict[str, int]:
    found: dict[str, int] = read_manifest(folder)["counts"]
    return found


def test_pairs_are_held_out_by_problem(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    run(CONFIG, work, work / "policy_pairs")
    found = {split: read_pairs(work / "policy_pairs", split) for split in SPLITS}
    assert sum(map(len, found.values())) == MANY
    assert found["train"]
    assert found["evaluation"]
    for split, rows in found.items():
        assert {CONFIG.split_of(row.group) for row in rows} <= {split}
    row = found["train"][0]
    assert row.chosen == "def f(): return 0"
    assert {(each.kind, each.text, each.margin) for each in row.rejected} == {
        ("wrong", "def f(): return 1", 0.5),
        ("wrong", "def f(): return 2", 1.0),
    }
    assert row.source == "round 1"


def test_rows_for_policies_have_the_samplers_exact_ids(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    run(CONFIG, work, work / "policy_pairs")
    rows = read_policy_rows(work / "policy_pairs")
    assert {row.group for row in rows} == {
        row.group for row in read_pairs(work / "policy_pairs", "train")
    }
    assert rows[0].prompt_ids == (1, 2)
    assert rows[0].chosen.token_ids == (7, 0)
    assert rows[0].chosen.log_probs == (-0.1, -0.2)
    assert {each.value for each in rows[0].rejected} == {0.0, 0.5}
    assert (rows[0].sampler, rows[0].template, rows[0].ends) == ("w", "t", True)
    run(replace(CONFIG, policy_rows="all"), work, work / "policy_pairs")
    assert len(read_policy_rows(work / "policy_pairs")) == MANY


def test_every_answer_and_problem_is_counted(tmp_path: Path) -> None:
    work = make_work(tmp_path, (2, 2, 1, 1), problems=4)
    samples = [
        sampled("p0", 0, finish_reason="length"),
        sampled("p0", 1, "  "),
        sampled("p1", 0),
        sampled("p1", 1),
        sampled("p1", 2, "def f():\n    return 1"),
        sampled("p2", 0),
        sampled("p2", 1),
    ]
    make_samples(work / "samples", samples)
    labels = [counted(each, 2 - each.number) for each in samples[:4]] + [counted(samples[4], 1)]
    make_stage(work / "votes", {pass_count.STEM: labels})
    run(replace(CONFIG, evaluation_share=0.0, calibration_share=0.0), work, work / "policy_pairs")
    assert counts(work / "policy_pairs") == {
        "answers cut short by the limit of tokens": 1,
        "answers without text": 1,
        "answers without a label": 2,
        "answers compared": 2,
        "answers of the same program as another": 1,
        "problems with pairs": 1,
        "problems without a pair: no labelled answer": 3,
        "pairs kept": 1,
        "rows as answer": 1,
        "train: rows": 1,
        "train: pairs": 1,
        "train: groups": 1,
    }


def test_an_answer_that_was_cut_short_can_be_rejected_and_is_never_chosen(tmp_path: Path) -> None:
    work = make_work(tmp_path, (2, 2), problems=2)
    cut = sampled("p0", 0, "half of", finish_reason="length")
    right = sampled("p0", 1, "right, and on it goes", finish_reason="length")
    samples = [cut, right, sampled("p0", 2, "whole"), sampled("p1", 0)]
    make_samples(work / "samples", samples)
    labels = [counted(cut, 1), *(counted(each, 2) for each in samples[1:])]
    make_stage(work / "votes", {pass_count.STEM: labels})
    config = replace(CONFIG, evaluation_share=0.0, calibration_share=0.0, cut_short="rejected")
    run(config, work, work / "policy_pairs")
    (row,) = read_pairs(work / "policy_pairs", "train")
    assert (row.chosen, [each.text for each in row.rejected]) == ("whole", ["half of"])


def test_a_problem_has_at_most_its_limit_of_pairs(tmp_path: Path) -> None:
    work = make_work(tmp_path, (2, 2, 1, 0, 0))
    run(replace(CONFIG, max_pairs_per_problem=2), work, work / "policy_pairs")
    assert counts(work / "policy_pairs")["pairs kept"] == 2 * MANY
    assert counts(work / "policy_pairs")["pairs over the problem's limit"] == 4 * MANY


def test_the_length_of_chosen_answers_is_told(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    run(CONFIG, work, work / "policy_pairs")
    length = read_manifest(work / "policy_pairs")["length"]
    assert length["train"] == {"mean_log_ratio": 0.0, "longer_is_chosen": 0.5}


def test_no_pair_at_all_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    work = make_work(tmp_path, (1, 1), problems=3)
    with pytest.raises(StageError, match=r"every answer passes as many of the tests': 3.*loosen"):
        run(CONFIG, work, work / "policy_pairs")


def test_labels_of_other_samples_are_refused(tmp_path: Path) -> None:
    work = make_work(tmp_path, problems=3)
    make_samples(work / "samples", [sampled("p0", 0)])
    with pytest.raises(StageError, match="counts 8 answers that samples does not have"):
        run(CONFIG, work, work / "policy_pairs")


def test_the_control_has_as_many_pairs(tmp_path: Path) -> None:
    work = make_work(tmp_path, (2, 2, 1, 0))
    run(CONFIG, work, work / "policy_pairs")
    run(replace(CONFIG, rule=Random(AllOverAny())), work, work / "random_pairs")
    kept = counts(work / "policy_pairs")["pairs kept"]
    assert counts(work / "random_pairs")["pairs kept"] == kept


def test_given_tests_tell_how_many_pairs_are_right(tmp_path: Path) -> None:
    work = make_work(tmp_path, (2, 0), problems=4)
    truth = [counted(sampled("p0", 0), 1), counted(sampled("p0", 1), 0)]
    truth += [counted(sampled("p1", 0), 0), counted(sampled("p1", 1), 1)]
    truth += [counted(sampled("p2", number), 1) for number in range(2)]
    make_stage(work / "gold_votes", {pass_count.STEM: truth})
    run(replace(CONFIG, truth="gold_votes"), work, work / "policy_pairs")
    found = counts(work / "policy_pairs")
    reasons = ("right", "reversed", "equally good", "not known")
    assert [found[f"pairs by given tests: {reason}"] for reason in reasons] == [1, 1, 1, 1]


def earlier(name: str, group: str, **facts: object) -> PolicyRow:
    made = PolicyRow(name, group, "q", PolicyAnswer("a", "x"), (PolicyAnswer("b", "y"),))
    return replace(made, **facts)  # type: ignore[arg-type]  # fields of a row


def test_earlier_pairs_are_replayed_but_not_those_that_are_held_out(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    sides = {CONFIG.split_of(f"p{number}"): f"p{number}" for number in range(MANY)}
    rows = [
        earlier("one", sides["train"], source="round 0"),
        earlier("two", sides["evaluation"]),
        earlier("three", sides["train"], ends=False),
    ]
    make_stage(work / "pairs_0", {policy_row.STEM: rows})
    run(replace(CONFIG, replay=(Replay("pairs_0"),)), work, work / "policy_pairs")
    found = {row.id: row.source for row in read_policy_rows(work / "policy_pairs")}
    assert (found["one"], found["three"]) == ("round 0", "pairs_0")
    assert "two" not in found
    assert counts(work / "policy_pairs")["rows replayed of pairs_0"] == 2
    assert counts(work / "policy_pairs")["replayed rows left out: their problem is held out"] == 1
    assert counts(work / "policy_pairs")["exports: pairs of prefixes are left out"] == 1
    # A reward model is trained on all rounds by finetune's mixture.
    train = {row.id for row in read_pairs(work / "policy_pairs", "train")}
    assert not {"one", "three"} & train
    assert "pairs_0" in read_manifest(work / "policy_pairs")["inputs"]


def test_a_share_of_earlier_pairs_is_replayed(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    config = replace(CONFIG, evaluation_share=0.0, calibration_share=0.0)
    rows = [earlier(f"r{number}", f"e{number}") for number in range(10)]
    make_stage(work / "pairs_0", {policy_row.STEM: rows})
    run(replace(config, replay=(Replay("pairs_0", 0.3),)), work, work / "policy_pairs")
    assert counts(work / "policy_pairs")["rows replayed of pairs_0"] == 3
    with pytest.raises(StageError, match="no share"):
        run(replace(config, replay=(Replay("pairs_0", 2.0),)), work, work / "policy_pairs")


def test_the_order_of_samples_changes_no_file(tmp_path: Path) -> None:
    work = make_work(tmp_path, (2, 2, 1, 0))
    config = replace(CONFIG, max_pairs_per_problem=2, rule=PassMargin(min_difference=1))
    run(config, work, work / "policy_pairs")
    first = read_manifest(work / "policy_pairs")["files"]
    samples = work / "samples" / "samples-00000.jsonl"
    samples.write_text("".join(reversed(samples.read_text().splitlines(keepends=True))))
    run(config, work, work / "policy_pairs")
    assert read_manifest(work / "policy_pairs")["files"] == first


@pytest.mark.parametrize(
    "rule",
    [
        PassMargin(min_difference=0.4),
        AllOverAny(),
        AceCode(),
        MeanMinusDeviations(),
        Random(AceCode(min_chosen=0.5), seed=3),
    ],
)
def test_every_rule_can_be_set_on_a_command_line(rule: Rule) -> None:
    text = json.dumps(asdict(rule))
    assert with_field(CONFIG, ["rule"], text, "policy_pairs.rule") == replace(CONFIG, rule=rule)


def test_files_for_other_trainers_have_a_line_for_each_pair(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    run(CONFIG, work, work / "policy_pairs")
    for split in ("train", "evaluation"):
        pairs = sum(len(row.rejected) for row in read_pairs(work / "policy_pairs", split))
        for name in ("trl", "openrlhf", "llama_factory", "nemo_rl"):
            lines = (work / "policy_pairs" / f"{name}-{split}.jsonl").read_text().splitlines()
            assert len(lines) == pairs
            assert not any(key.startswith("ref_") for line in lines for key in json.loads(line))
    run(replace(CONFIG, exports=()), work, work / "bare")
    assert not list((work / "bare").glob("trl*"))
