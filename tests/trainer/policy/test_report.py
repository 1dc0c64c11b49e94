"""The whole stage on small finished stages, with a real checkpoint or service as reward model."""

from pathlib import Path

import pytest

from benchmarks.harness.processes import running
from benchmarks.harness.servers import ours
from tests.checkpoints import make_checkpoint
from tests.trainer.policy.made import MadeConfig, make_problems, make_samples
from trainer.evaluation.scorers.http import ServiceConfig
from trainer.feedback import program_runs
from trainer.feedback.program_runs import InputRun, ProgramRuns
from trainer.feedback.sandbox.types import Status
from trainer.pairs import policy_row
from trainer.pairs.policy_row import PolicyAnswer, PolicyRow
from trainer.pairs.row import PreferenceRow, Rejected, write_pairs
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import StageError, read_manifest, writing_stage
from trainer.policy.arms import Arm
from trainer.policy.report import PolicyReportConfig, run
from trainer.policy.report_file import read

START, ROUND = (
    Arm("start", "start_samples", "start_passes"),
    Arm("round 1", "one_samples", "one_passes"),
)
CONFIG = PolicyReportConfig((START, ROUND), resamples=200)


def make_two(work: Path) -> None:
    """Four problems; the start solves half of each's samples, the next policy three quarters."""
    ids = [f"p{number}" for number in range(4)]
    make_problems(work, ids)
    make_samples(work, "start", {each: [True, True, False, False] for each in ids})
    make_samples(work, "one", {each: [True, True, True, False] for each in ids})


def test_pass_at_k_of_every_policy_is_beside_the_starts(tmp_path: Path) -> None:
    make_two(tmp_path)
    run(CONFIG, tmp_path, tmp_path / "policy_report")
    report = read(tmp_path / "policy_report")
    (section,) = report.sections
    rows = section.comparison("pass@k").rows
    assert list(rows) == ["1", "2", "4"]
    assert rows["1"]["start"].value.value == 0.5
    assert rows["2"]["start"].value.value == pytest.approx(1 - 1 / 6)
    gain = rows["1"]["round 1"].gain
    assert gain is not None
    assert (gain.value, gain.low, gain.high) == (0.25, 0.25, 0.25)
    assert section.comparison("oracle of N").rows["4"]["round 1"].value.value == 1.0
    assert section.samples == {"start": 16, "round 1": 16}
    manifest = read_manifest(tmp_path / "policy_report")
    assert manifest["figures"]["programs"]["start"]["value"]["value"] == 0.5
    assert set(manifest["inputs"]) == {
        "problems",
        "start_samples",
        "start_passes",
        "one_samples",
        "one_passes",
    }
    page = (tmp_path / "policy_report" / "report.md").read_text()
    assert "+0.250<br>+0.250 to +0.250" in page
    assert (tmp_path / "policy_report" / "programs.svg").read_bytes().startswith(b"<?xml")


def test_a_sample_without_a_label_is_left_out_and_counted(tmp_path: Path) -> None:
    make_problems(tmp_path, ["a", "b"])
    make_samples(tmp_path, "start", {"a": [True, None], "b": [True, False]})
    run(PolicyReportConfig((START,), resamples=20), tmp_path, tmp_path / "out")
    report = read(tmp_path / "out")
    assert report.left_out == {"start": {"sample: without a label": 1, "sample: graded": 3}}
    # The curve ends where too few problems have that many samples, over the same problems.
    assert list(report.sections[0].comparison("pass@k").rows) == ["1"]
    assert report.sections[0].comparison("pass@k").rows["1"]["start"].value.value == 0.75


def test_a_sample_without_a_program_is_wrong(tmp_path: Path) -> None:
    make_problems(tmp_path, ["a", "b"])
    texts = {"a": ["def f(): ...", ""], "b": ["def f(): ...", "def f(): pass"]}
    make_samples(tmp_path, "start", {"a": [True, None], "b": [None, None]}, texts=texts)
    run(PolicyReportConfig((START,), resamples=20), tmp_path, tmp_path / "out")
    report = read(tmp_path / "out")
    assert report.sections[0].comparison("pass@k").rows["1"]["start"].value.value == 0.5
    assert report.left_out["start"] == {
        "sample: graded": 2,
        "sample: without a program, which is wrong": 1,
        "sample: of a problem without labels": 2,
    }


def test_problems_that_a_policy_has_no_samples_of_are_counted(tmp_path: Path) -> None:
    make_problems(tmp_path, ["a", "b", "c"])
    make_samples(tmp_path, "start", {each: [True, False] for each in "abc"})
    make_samples(tmp_path, "one", {"a": [True, True], "b": [True, True]})
    run(CONFIG, tmp_path, tmp_path / "out")
    (section,) = read(tmp_path / "out").sections
    assert section.problems == 2
    assert section.left_out == {"problem: without a graded sample of every policy": 1}


def test_answers_have_accuracy_and_a_majority(tmp_path: Path) -> None:
    make_problems(tmp_path, ["a", "b"], kind="math")
    right, wrong = ["#### 18", "so \\boxed{18}", "#### 18.0"], "#### 7"
    texts = {each: [*right, wrong] for each in "ab"}
    make_samples(tmp_path, "start", {each: [True] * 3 + [False] for each in "ab"}, texts=texts)
    run(PolicyReportConfig((START,), resamples=20), tmp_path, tmp_path / "out")
    (section,) = read(tmp_path / "out").sections
    assert section.kind == "answers"
    assert section.comparison("accuracy").rows["1"]["start"].value.value == 0.75
    assert section.comparison("majority of N").rows["4"]["start"].value.value == 1.0


def test_programs_vote_by_their_outputs_on_test_inputs(tmp_path: Path) -> None:
    make_problems(tmp_path, ["a", "b"])
    make_samples(tmp_path, "start", {each: [True, True, False, False] for each in "ab"})
    outputs = ["1", "1", "2", None]  # the last one fails on the input and has no vote
    rows = [
        ProgramRuns(
            f"start {task} {number}",
            task,
            str(number),
            (InputRun((Status.OK if out else Status.EXCEPTION,), (out or "",)),),
        )
        for task in "ab"
        for number, out in enumerate(outputs)
    ]
    reads = [tmp_path / "start_samples"]
    with writing_stage(MadeConfig(), tmp_path / "runs", reads=reads) as draft:
        write_shards(draft.path, program_runs.STEM, rows, 10)
    arm = Arm("start", "start_samples", "start_passes", "runs")
    run(PolicyReportConfig((arm,), resamples=20), tmp_path, tmp_path / "out")
    (section,) = read(tmp_path / "out").sections
    majority = section.comparison("majority of N").rows
    assert majority["4"]["start"].value.value == 1.0
    # One draw in four holds the program that has no vote, and then nobody votes.
    assert majority["1"]["start"].value.value == 0.5


def test_a_reward_model_chooses_alike_here_and_behind_a_service(tmp_path: Path) -> None:
    make_two(tmp_path)
    checkpoint = make_checkpoint(tmp_path / "model")
    config = PolicyReportConfig((START, ROUND), resamples=20, reward_model=str(checkpoint))
    run(config, tmp_path, tmp_path / "here")
    with running(ours(str(checkpoint), device="cpu", dtype="float32")) as service:
        config = PolicyReportConfig(
            (START, ROUND), resamples=20, service=ServiceConfig(service.url)
        )
        run(config, tmp_path, tmp_path / "there")
    near, far = read(tmp_path / "here"), read(tmp_path / "there")
    assert near.sections == far.sections
    assert far.scorer.startswith("model ")
    rows = near.sections[0].comparison("reward model, best of N").rows
    assert rows["1"]["start"].value.value == 0.5
    # Every problem's best of all four is one text, right or wrong.
    assert rows["4"]["start"].value.value * 4 in range(5)
    ranking = near.sections[0].ranking[0]
    assert list(ranking.rows) == ["round 1", "start"]
    assert list(ranking.rows["start"]) == ["model", "length_only", "random"]
    assert ranking.rows["start"]["model"].n == 4 * 2 * 2


def test_a_policy_that_was_trained_on_the_problems_is_refused(tmp_path: Path) -> None:
    make_problems(tmp_path, ["a", "b"])
    make_samples(tmp_path, "start", {each: [True, False] for each in "ab"})
    row = PolicyRow("1", "group a", "Solve a.", PolicyAnswer("x", "1"), (PolicyAnswer("y", "2"),))
    with writing_stage(MadeConfig(), tmp_path / "policy_pairs") as draft:
        write_shards(draft.path, policy_row.STEM, [row], 10)
    with writing_stage(MadeConfig(), tmp_path / "dpo", reads=[tmp_path / "policy_pairs"]):
        pass
    passing = {each: [True, False] for each in "ab"}
    make_samples(tmp_path, "one", passing, reads=("problems", "dpo"))
    with pytest.raises(StageError, match="round 1: its policy was trained on group a: report on"):
        run(CONFIG, tmp_path, tmp_path / "out")


def test_a_reward_model_that_was_trained_on_the_problems_is_refused(tmp_path: Path) -> None:
    make_problems(tmp_path, ["a"])
    make_samples(tmp_path, "start", {"a": [True, False]})
    row = PreferenceRow("1", "group a", "Solve a.", "1", (Rejected("failing", "2"),))
    with writing_stage(MadeConfig(), tmp_path / "policy_pairs") as draft:
        write_pairs(draft.path, "train", [row], 10)
    with writing_stage(MadeConfig(), tmp_path / "finetune", reads=[tmp_path / "policy_pairs"]):
        pass
    config = PolicyReportConfig((START,), reward_model="finetune")
    with pytest.raises(StageError, match="finetune was trained on group a"):
        run(config, tmp_path, tmp_path / "out")


def test_pass_counts_of_other_samples_are_refused(tmp_path: Path) -> None:
    make_two(tmp_path)
    crossed = PolicyReportConfig((Arm("start", "start_samples", "one_passes"),))
    with pytest.raises(StageError, match="one_passes is not of start_samples"):
        run(crossed, tmp_path, tmp_path / "out")


def test_different_sampling_is_noted(tmp_path: Path) -> None:
    make_problems(tmp_path, ["a", "b"])
    make_samples(tmp_path, "start", {each: [True] for each in "ab"})
    make_samples(tmp_path, "one", {each: [True] for each in "ab"}, temperature=0.2)
    run(CONFIG, tmp_path, tmp_path / "out")
    (note,) = read(tmp_path / "out").notes
    assert "start: temperature 1.0" in note
    assert "round 1: temperature 0.2" in note
    assert f"**Note:** {note}." in (tmp_path / "out" / "report.md").read_text()


def test_two_arms_of_one_name_are_refused() -> None:
    with pytest.raises(StageError, match="each a name of its own"):
        PolicyReportConfig((START, START))
