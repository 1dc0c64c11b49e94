"""The whole stage, on a random checkpoint and a few rows of every kind."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reward_model.release.calibration import Calibration
from tests.checkpoints import make_checkpoint
from trainer.evaluation.calibrate import CalibrateConfig
from trainer.evaluation.evaluate import EvaluateConfig, run
from trainer.evaluation.measures.table import Table
from trainer.evaluation.reporting.report import Report, read
from trainer.evaluation.tasks import (
    CandidatesTask,
    ChoiceTask,
    CodeRewardBenchTask,
    PairsTask,
    ProcessBenchTask,
    RewardBench2Task,
    RewardBenchTask,
    Task,
)
from trainer.pairs.row import PreferenceRow, Rejected, write_pairs
from trainer.pipeline.stage import StageError, read_manifest, writing_stage

CONFIG = EvaluateConfig(
    checkpoint="model",
    resamples=30,
    tasks=(
        PairsTask(),
        CandidatesTask(("candidates.jsonl",), answers="text"),
        ChoiceTask(("choice.jsonl",), max_questions=3),
        RewardBenchTask(("bench.jsonl",)),
        RewardBench2Task(("bench2.jsonl",)),
        CodeRewardBenchTask(("code.jsonl",)),
        ProcessBenchTask(("gsm8k.jsonl",)),
    ),
)


def jsonl(file: Path, rows: list[dict[str, object]]) -> None:
    file.write_text("\n".join(map(json.dumps, rows)))


def write_data(work: Path) -> None:
    pairs = [
        PreferenceRow(
            f"{n}", f"package {n}", f"Write {n}.", "x" * (n + 1), (Rejected("mutant", "yy"),)
        )
        for n in range(4)
    ]
    with writing_stage(PairsTask(), work / "pairs") as draft:
        write_pairs(draft.path, "evaluation", pairs, 10)
    several = [{"text": str(n % 2), "correct": n % 2 == 0, "model": "m"} for n in range(4)]
    each = range(4)
    jsonl(
        work / "candidates.jsonl",
        [{"id": f"c{n}", "prompt": f"Ask {n}", "candidates": several} for n in each],
    )
    choice = {"question": "q", "options": ["s", "tt"], "answer": "B"}
    jsonl(work / "choice.jsonl", [{"id": n, "context": f"passage {n}"} | choice for n in each])
    bench = {"chosen": "yes", "rejected": "no", "subset": "hep-go"}
    jsonl(work / "bench.jsonl", [{"id": n, "prompt": f"b {n}"} | bench for n in each])
    four = {"chosen": ["yes"], "rejected": ["no", "nay", "never"], "subset": "Math"}
    jsonl(work / "bench2.jsonl", [{"id": n, "prompt": f"f {n}"} | four for n in each])
    code = {"aspect": "Runtime_Efficiency", "language": "Go", "subset": "PIE_PERF"}
    code |= {"chosen": "fast", "rejected": "slow"}
    jsonl(work / "code.jsonl", [{"id": f"{n}", "prompt": f"c {n}", **code} for n in each])
    steps: list[dict[str, object]] = [
        {"id": f"p{n}", "problem": f"p {n}", "steps": ["One.", f"Two {n}."], "label": n % 3 - 1}
        for n in each
    ]
    jsonl(work / "gsm8k.jsonl", steps)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_data(folder)
    with writing_stage(PairsTask(), folder / "model", reads=[folder / "pairs"]) as draft:
        make_checkpoint(draft.path / ".." / "made")
        for file in (draft.path / ".." / "made").iterdir():
            file.rename(draft.path / file.name)
    run(CONFIG, folder, folder / "evaluate")
    return folder


@pytest.fixture(scope="module")
def report(work: Path) -> Report:
    return read(work / "evaluate")


def test_every_task_is_measured(report: Report) -> None:
    kinds = [task.kind for task in report.tasks]
    assert kinds == [task.kind for task in CONFIG.tasks]
    assert [task.questions for task in report.tasks] == [4, 4, 3, 4, 4, 4, 4]
    assert report.tasks[2].left_out == {"not in the sample": 1}
    # The one task with a criterion, of a checkpoint that has none.
    (note,) = report.notes
    assert "has no criterion runtime" in note


def test_every_accuracy_stands_beside_length_and_guessing(report: Report) -> None:
    beside_others = {
        *("calibration error", "reliability"),
        *("correlation with length", "variance of scores"),
    }
    tables: list[Table] = [table for task in report.tasks for table in task.tables]
    for table in tables:
        for row in table.rows.values():
            if table.title not in beside_others:
                assert {"model", "length_only", "random"} <= row.keys()
            assert len(row) > 1


def test_votes_and_the_oracle_are_on_the_curve(report: Report) -> None:
    curve = report.tasks[1].table("best of N").rows
    assert list(curve) == ["1", "2", "4"]
    assert curve["4"]["oracle"].value == 1.0
    assert curve["4"]["majority"].value == 0.5  # two against two
    assert curve["4"]["random"].value == 0.5


def test_the_stage_writes_what_is_published_and_read(work: Path) -> None:
    names = {file.name for file in (work / "evaluate").iterdir()}
    assert names == {"report.json", "report.html", "accuracy.svg", "manifest.json"}
    manifest = read_manifest(work / "evaluate")
    assert manifest["inputs"].keys() == {"pairs", "model"}
    assert len(manifest["data"]["RewardBench"]["bench.jsonl"]) == 64
    assert manifest["config"]["tasks"][1]["kind"] == "candidates"


def test_the_same_evaluation_writes_the_same_files(work: Path) -> None:
    alone = replace(CONFIG, tasks=CONFIG.tasks[:1])
    run(alone, work, work / "again")
    first = {f.name: f.read_bytes() for f in (work / "again").iterdir()}
    run(alone, work, work / "again")
    assert {f.name: f.read_bytes() for f in (work / "again").iterdir()} == first


def test_a_checkpoint_of_another_run_is_evaluated_with_a_note(work: Path, tmp_path: Path) -> None:
    foreign = make_checkpoint(tmp_path / "foreign")
    config = replace(CONFIG, checkpoint=str(foreign), tasks=CONFIG.tasks[:1])
    run(config, work, tmp_path / "out")
    (note,) = read(tmp_path / "out").notes
    assert "what it was trained on is not known" in note


def calibrated(folder: Path, checkpoint: str, temperature: float | None) -> None:
    fitted = Calibration(mean=0.0, std=1.0, n=9, reference="made", temperature=temperature)
    with writing_stage(CalibrateConfig(checkpoint=checkpoint), folder) as draft:
        (draft.path / "calibration.json").write_text(fitted.model_dump_json())


def test_margins_are_divided_by_the_temperature_that_was_fitted(work: Path) -> None:
    calibrated(work / "calibrate", "model", 0.25)
    config = replace(CONFIG, calibration="calibrate", tasks=CONFIG.tasks[:1])
    run(config, work, work / "fitted")
    run(replace(config, calibration="", temperature=0.25), work, work / "given")
    assert read(work / "fitted") == read(work / "given")
    assert "0.25" in read(work / "fitted").tasks[0].table("calibration error").what
    assert "calibrate" in read_manifest(work / "fitted")["inputs"]


def test_a_calibration_without_a_temperature_is_noted(work: Path) -> None:
    calibrated(work / "unfitted", "model", None)
    config = replace(CONFIG, calibration="unfitted", tasks=CONFIG.tasks[:1])
    run(config, work, work / "raw")
    assert read(work / "raw").notes == [
        "unfitted found no temperature that fits: calibration is measured of raw margins"
    ]


def test_a_calibration_of_another_checkpoint_is_refused(work: Path) -> None:
    calibrated(work / "other", "pretrain", 2.0)
    with pytest.raises(StageError, match="other is of pretrain and model is evaluated"):
        run(replace(CONFIG, calibration="other"), work, work / "none")


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ((PairsTask(split="calibration"),), "the calibration split of pairs is empty"),
        ((ChoiceTask(("none.jsonl",)),), "no file is at"),
        ((), "no task to run"),
    ],
)
def test_without_rows_there_is_nothing_to_say(
    work: Path, tmp_path: Path, tasks: tuple[Task, ...], message: str
) -> None:
    with pytest.raises(StageError, match=message):
        run(replace(CONFIG, tasks=tasks), work, tmp_path / "out")
    assert not (tmp_path / "out").exists()
