"""Evaluate a checkpoint: every task of the config, beside its baselines, becomes a report."""

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from trainer.evaluation import calibrate
from trainer.evaluation.held_out import require_held_out
from trainer.evaluation.load import LoadedTask, load
from trainer.evaluation.measure import measure
from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.records import files_of
from trainer.evaluation.reporting import page, plots
from trainer.evaluation.reporting.report import Report, write
from trainer.evaluation.scorers.http import HttpScorer, ServiceConfig
from trainer.evaluation.scorers.network import NetworkScorer
from trainer.evaluation.scorers.scorer import QuestionScorer
from trainer.evaluation.tasks import CandidatesTask, PairsTask, Task
from trainer.pairs.criteria import read_criteria
from trainer.pipeline.lineage import is_stage, lineage
from trainer.pipeline.stage import StageError, writing_stage


@dataclass(frozen=True)
class EvaluateConfig:
    """The checkpoint to evaluate, the tasks, and how they are scored.

    Attributes:
        checkpoint: a stage, or the path of any checkpoint or release.
        resamples: bootstrap resamples of groups for the 95 % intervals.
        calibration: a stage that fitted the checkpoint's temperature.
        temperature: divides margins before the sigmoid that calibration is measured of; ignored if
            `calibration` names a stage, whose temperature is used instead.
        service: where to score instead of in this process; it should serve `checkpoint`.
        device: torch's name of the device, if scored in this process.
        dtype: of the backbone, if scored in this process; scores are always float32.
    """

    checkpoint: str = "pretrain"
    resamples: int = 2000
    seed: int = 1
    tasks: tuple[Task, ...] = (PairsTask(),)
    calibration: str = ""
    temperature: float = 1.0
    service: ServiceConfig | None = None
    device: str = "cpu"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        """Raise StageError for what no interval can be made of."""
        if self.resamples < 1:
            raise StageError(f"resamples is {self.resamples}: it must be 1 or more")

    def splits(self, stage: str) -> tuple[str, ...]:
        found = [each for each in self.tasks if isinstance(each, PairsTask)]
        return tuple(each.split for each in found if each.stage == stage)


def check(config: EvaluateConfig, inputs: Path) -> None:
    """Raise StageError when a task's files are not there, which only the user can bring."""
    for task in config.tasks:
        if not isinstance(task, PairsTask):
            files_of(inputs, task.files)


def run(config: EvaluateConfig, inputs: Path, output: Path) -> None:
    """Write `report.json`, `report.html`, and `accuracy.svg` of the first task.

    Raises:
        StageError: there is nothing to evaluate on, the checkpoint was trained on it, or the
            calibration belongs to another checkpoint.
    """
    temperature = fitted_temperature(config, inputs)
    # All tasks are read and checked before the first one is scored, which may take hours.
    loaded = [load(task, inputs, config.seed) for task in config.tasks]
    if not loaded:
        raise StageError("there is no task to run: give the config's `tasks` one")
    own, notes = is_stage(inputs, config.checkpoint), []
    if own:
        for each in loaded:
            # Problems may stand in other data sets under other names. Functions of different
            # packages may be asked for in the same words.
            by_request = not isinstance(each.task, PairsTask)
            require_held_out(each.questions, inputs, config.checkpoint, by_request=by_request)
    else:
        notes.append(
            f"{config.checkpoint} is not a stage of this run: what it was trained on is not known "
            "here, so nothing says that it has not seen these questions"
        )
    if temperature is None:
        notes.append(
            f"{config.calibration} found no temperature that fits: calibration is measured of raw "
            "margins"
        )

    report = report_on(config, inputs, loaded, temperature or 1.0, notes)
    stages = [
        task.stage
        for task in config.tasks
        if isinstance(task, PairsTask | CandidatesTask) and task.stage
    ]
    stages += [config.checkpoint] if own else []
    stages += [config.calibration] if config.calibration else []
    reads = [inputs / stage for stage in dict.fromkeys(stages)]
    with writing_stage(config, output, reads=reads) as draft:
        write(report, draft.path)
        (draft.path / "report.html").write_text(page.html(report), encoding="utf-8")
        (draft.path / "accuracy.svg").write_bytes(plots.svg(report.tasks[0].tables[0]))
        draft.facts["left_out"] = {task.name: task.left_out for task in report.tasks}
        draft.facts["data"] = {each.task.name: each.files for each in loaded}


def report_on(
    config: EvaluateConfig,
    inputs: Path,
    loaded: list[LoadedTask],
    temperature: float,
    notes: list[str],
) -> Report:
    """Score all tasks, each question by the criterion that it names; `notes` may get more."""
    resampling = Resampling(config.resamples, config.seed)
    with ExitStack() as stack:
        scorer: QuestionScorer
        if config.service:
            served = HttpScorer(config.service, read_criteria(inputs / config.checkpoint))
            scorer = stack.enter_context(closing(served))
        else:
            scorer = NetworkScorer(
                inputs / config.checkpoint, device=config.device, dtype=config.dtype
            )
        tasks = [measure(each, scorer, resampling, temperature) for each in loaded]
    aspects = {question.aspect for each in loaded for question in each.questions} - {""}
    if others := sorted(aspects - scorer.criteria.keys()):
        notes.append(
            f"{config.checkpoint} has no criterion {' or '.join(others[:8])}: questions of these "
            "are scored without a prompt of their own"
        )
    criteria = {name: each.prompt for name, each in scorer.criteria.items() if name in aspects}
    return Report(config.checkpoint, scorer.name, tasks, notes, criteria)


def fitted_temperature(config: EvaluateConfig, inputs: Path) -> float | None:
    """The config's temperature, or that of its calibration; None if that one found none.

    Raises:
        StageError: the calibration belongs to another checkpoint.
    """
    if not config.calibration:
        return config.temperature
    manifest = lineage(inputs, [config.calibration])[config.calibration]
    calibrated = manifest["config"]["checkpoint"]
    if calibrated != config.checkpoint:
        raise StageError(
            f"{config.calibration} is of {calibrated} and {config.checkpoint} is evaluated: "
            f"run {config.calibration} on it"
        )
    return calibrate.read(inputs / config.calibration).temperature
