import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Value, load_dataset
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.feedback.problems import ADD, write_problems
from tests.trainer.feedback.rows import SAMPLER, answer, make_passes, make_samples, make_stage
from trainer.evaluation.benchmarks.process_bench import NO_ERROR, read_questions
from trainer.feedback.pass_count import PassCount
from trainer.feedback.prefixes import STEM, Prefix
from trainer.feedback.sample import Sample
from trainer.feedback.step_files import StepLabels, read_step_labels
from trainer.feedback.step_labels import StepEnd, StepLabelsConfig, label_steps, run
from trainer.pairs.row import read_pairs
from trainer.pipeline.stage import StageError, read_manifest
from trainer.preferences import gather
from trainer.preferences.formats.stepwise import Stepwise
from trainer.preferences.source import PreferenceSource

LINES = ["def add(a, b):", "    total = a", "    total -= b", "    return total"]
TEXT = "\n".join(LINES)
CONFIG = StepLabelsConfig(evaluation_share=0.0, calibration_share=0.0)


def prefix(sample: Sample, text: str) -> Prefix:
    assert sample.text.startswith(text)
    made = Prefix(
        f"{sample.id}:{len(text)}", sample.id, sample.problem, sample.prompt, text, 1, 4, SAMPLER
    )
    return replace(made, samples=(sample.id,))


def make_stages(
    work: Path, values: dict[Sample, dict[str, list[int]]], passed: dict[str, int]
) -> None:
    """Samples with their prefixes, whose completions pass so many of four tests."""
    prefixes = {
        prefix(sample, text): numbers
        for sample, by_text in values.items()
        for text, numbers in by_text.items()
    }
    rows = [
        (each, f"{each.id}-{number}", count)
        for each, numbers in prefixes.items()
        for number, count in enumerate(numbers)
    ]
    names = dict.fromkeys(sample.problem for sample in values)
    write_problems(work / "problems", *(replace(ADD, id=name, group=name) for name in names))
    make_samples(work, list(values))
    make_stage(work / "prefixes", STEM, list(prefixes))
    make_samples(work, [answer(name, "", prefix=each.id) for each, name, _ in rows], "completions")
    make_passes(
        work,
        [PassCount(name, each.problem, count, 4) for each, name, count in rows],
        "votes_completions",
    )
    make_passes(
        work,
        [
            PassCount(each.id, each.problem, passed[each.id], 4)
            for each in values
            if each.id in passed
        ],
    )


def labelled(
    work: Path,
    values: dict[str, list[int]],
    passed: int | None = 0,
    config: StepLabelsConfig = CONFIG,
) -> StepLabels:
    make_stages(work, {answer("s", TEXT): values}, {} if passed is None else {"s": passed})
    run(config, work, work / "step_labels")
    (row,) = read_step_labels(work / "step_labels", "train")
    return row


FIRST, SECOND, THIRD = ("\n".join(LINES[:end]) for end in (1, 2, 3))
FALLING = {FIRST: [4, 4, 4], SECOND: [2, 2, 2], THIRD: [0, 0, 1]}


def test_steps_are_labelled_by_the_values_at_their_ends(tmp_path: Path) -> None:
    row = labelled(tmp_path, FALLING)
    assert row.completions == tuple(LINES)
    assert row.labels == (True, True, False, None)
    assert row.first_error == 2
    third = sum([0, 0, 1 / 4]) / 3
    assert row.soft_labels == (1.0, 0.5, third, None)
    assert row.values == (1.0, 0.5, third, 0.0)
    assert row.numbers == (3, 3, 3, 1)
    for low, value, high in zip(row.lows, row.values, row.highs, strict=True):
        assert (low or 0) <= (value or 0) <= (high or 0)
    assert None not in row.lows + row.highs
    assert (row.id, row.group, row.prompt) == ("s", "add", "Solve add.")


def test_without_the_mask_every_step_has_its_label(tmp_path: Path) -> None:
    config = replace(CONFIG, mask_after_error=False)
    assert labelled(tmp_path, FALLING, config=config).labels == (True, True, False, False)


def test_any_success_is_enough_with_a_low_threshold(tmp_path: Path) -> None:
    row = labelled(tmp_path, FALLING, config=replace(CONFIG, threshold=1e-6))
    assert row.labels == (True, True, True, False)


def test_the_last_step_is_right_if_the_answer_passes_all_tests(tmp_path: Path) -> None:
    good = {FIRST: [4, 4, 4]}
    assert labelled(tmp_path, good, passed=4).labels == (True, True)
    assert labelled(tmp_path, good, passed=3).labels == (True, False)
    assert labelled(tmp_path, good, passed=None).labels == (True, None)


def test_an_answer_that_passes_after_a_wrong_step_keeps_its_last_label(tmp_path: Path) -> None:
    row = labelled(tmp_path, FALLING | {FIRST: [0, 0, 0]}, passed=4)
    assert row.labels == (False, None, None, True)


def test_a_step_end_with_too_few_completions_is_joined_with_the_next(tmp_path: Path) -> None:
    row = labelled(tmp_path, FALLING | {SECOND: [2]})
    assert row.completions == (LINES[0], "\n".join(LINES[1:3]), LINES[3])
    assert row.labels == (True, False, None)


@pytest.mark.parametrize("cut", ["x = 1", "x = 1  ", "x = 1  \n", "x = 1  \n\n", "x = 1  \n\n\n"])
def test_steps_joined_by_line_ends_are_the_answer_wherever_the_line_end_was_cut(
    tmp_path: Path, cut: str
) -> None:
    sample = answer("s", "x = 1  \n\n\ny = 2\n")
    make_stages(tmp_path, {sample: {cut: [4, 4, 4]}}, {"s": 4})
    run(CONFIG, tmp_path, tmp_path / "step_labels")
    (row,) = read_step_labels(tmp_path / "step_labels", "train")
    assert "\n".join(row.completions) == sample.text
    assert [step.strip() for step in row.completions] == ["x = 1", "y = 2"]


def test_a_cut_within_a_line_ends_no_step(tmp_path: Path) -> None:
    row = labelled(tmp_path, {FIRST: [4, 4, 4], f"{FIRST}\n    tot": [4, 4, 4]})
    assert row.completions == (LINES[0], "\n".join(LINES[1:]))
    counts = read_manifest(tmp_path / "step_labels")["counts"]
    assert counts["step end: within a line, joined with the next step"] == 1


def test_a_shared_prefix_labels_every_sample_that_begins_with_it(tmp_path: Path) -> None:
    one, other = answer("s", TEXT), answer("t", f"{FIRST}\n    return a + b")
    make_stages(tmp_path, {one: {FIRST: [4, 4, 4]}, other: {}}, {"s": 0, "t": 4})
    shared = replace(prefix(one, FIRST), samples=("s", "t"))
    make_stage(tmp_path / "prefixes", STEM, [shared])
    run(CONFIG, tmp_path, tmp_path / "step_labels")
    rows = read_step_labels(tmp_path / "step_labels", "train")
    assert {row.id: row.labels for row in rows} == {"s": (True, False), "t": (True, True)}


def test_trl_gets_its_columns_cut_after_the_first_error(tmp_path: Path) -> None:
    labelled(tmp_path, FALLING)
    file = str(tmp_path / "step_labels" / "trl-train.jsonl")
    data = load_dataset("json", data_files=file, split="train", cache_dir=str(tmp_path / "cache"))
    assert data.column_names == ["prompt", "completions", "labels"]
    assert data.features["labels"].feature == Value("bool")
    assert data[0]["completions"] == LINES[:3]
    assert data[0]["labels"] == [True, True, False]


def test_held_out_problems_are_in_files_of_their_own(tmp_path: Path) -> None:
    samples = [answer(f"s{number}", TEXT, problem=f"p{number}") for number in range(40)]
    values = dict.fromkeys(samples, FALLING)
    make_stages(tmp_path, values, {sample.id: 0 for sample in samples})
    run(replace(CONFIG, evaluation_share=0.3), tmp_path, tmp_path / "step_labels")
    train = read_step_labels(tmp_path / "step_labels", "train")
    held_out = read_step_labels(tmp_path / "step_labels", "evaluation")
    assert len(train) + len(held_out) == 40
    assert held_out
    lines = (tmp_path / "step_labels" / "trl-evaluation.jsonl").read_text().splitlines()
    assert len(lines) == len(held_out)
    assert not {row.group for row in train} & {row.group for row in held_out}


def test_the_first_wrong_step_is_what_process_bench_asks_for(tmp_path: Path) -> None:

    wrong, right = answer("wrong", TEXT), answer("right", f"{FIRST}\n    return a + b")
    lucky = answer("lucky", f"{FIRST}\n    return b + a")
    make_stages(
        tmp_path,
        {wrong: FALLING, right: {FIRST: [4, 4, 4]}, lucky: {FIRST: [0, 0, 0]}},
        {"wrong": 0, "right": 4, "lucky": 4},
    )
    run(CONFIG, tmp_path, tmp_path / "step_labels")
    file = tmp_path / "step_labels" / "process_bench-train.jsonl"
    questions, labels = read_questions(file, Counter())
    assert labels == {"wrong": 2, "right": NO_ERROR}
    assert questions[0].answers == (tuple(LINES),)


@given(
    st.lists(st.none() | st.sampled_from([0.0, 0.3, 0.5, 1.0]), min_size=1, max_size=6),
    st.booleans(),
)
def test_nothing_but_a_right_end_is_labelled_after_the_first_error(
    values: list[float | None], masked: bool
) -> None:
    config = replace(CONFIG, mask_after_error=masked)
    steps = [f"line {number}" for number in range(len(values))]
    row = label_steps("s", "g", "p", steps, [StepEnd(value) for value in values], config)
    assert [label is None for label in row.labels] == [value is None for value in row.soft_labels]
    if row.first_error is None:
        assert False not in row.labels
    else:
        assert row.labels[row.first_error] is False
        assert False not in row.labels[: row.first_error]
        if masked:
            assert not any(row.labels[row.first_error + 1 : -1])
            assert row.labels[row.first_error + 1 :].count(False) == 0


def test_without_any_labelled_step_the_stage_says_what_to_do(tmp_path: Path) -> None:
    make_stages(tmp_path, {answer("s", TEXT): {FIRST: [4]}}, {})
    with pytest.raises(StageError, match="too few labelled completions"):
        run(CONFIG, tmp_path, tmp_path / "step_labels")


def test_preferences_read_the_steps_back_as_pairs_of_whole_answers(tmp_path: Path) -> None:

    wrong, right = answer("wrong", TEXT), answer("right", f"{FIRST}\n    return a + b")
    make_stages(tmp_path, {wrong: FALLING, right: {FIRST: [4, 4, 4]}}, {"wrong": 0, "right": 4})
    run(CONFIG, tmp_path, tmp_path / "step_labels")
    source = PreferenceSource(
        "steps", Stepwise(), ("step_labels/steps-train-*.jsonl",), group="group", split="train"
    )
    gather.run(gather.PreferencesConfig(sources=(source,)), tmp_path, tmp_path / "preferences")
    (row,) = read_pairs(tmp_path / "preferences", "train")
    assert (row.prompt, row.chosen) == ("Solve add.", right.text)
    assert [rival.text for rival in row.rejected] == [wrong.text]
    assert row.group == "steps/add"


def test_rows_are_json_with_nulls_where_there_is_no_label(tmp_path: Path) -> None:
    labelled(tmp_path, FALLING)
    (line,) = (tmp_path / "step_labels" / "steps-train-00000.jsonl").read_text().splitlines()
    assert json.loads(line)["labels"] == [True, True, False, None]
