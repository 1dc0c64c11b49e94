"""What a checkpoint is worth: every task of the config, beside its baselines -> report."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainer.evaluation import calibrate
from trainer.evaluation.held_out import require_held_out
from trainer.evaluation.load import Loaded, load
from trainer.evaluation.measure import Measuring, measure
from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.reporting import page, plots
from trainer.evaluation.reporting.report import Report, write
from trainer.evaluation.scorers.http import HttpScorer, ServiceConfig
from trainer.evaluation.scorers.network import NetworkScorer
from trainer.evaluation.scorers.scorer import QuestionScorer
from trainer.evaluation.tasks import PairsTask, Task
from trainer.pipeline.lineage import is_stage, lineage
from trainer.pipeline.stage import StageError, writing_stage

_FOREIGN = (
    "{} is not a stage of this run: what it was trained on is not known here, so nothing says that "
    "it has not seen these questions"
)

_UNFITTED = "{} found no temperature that fits: calibration is measured of raw margins"


@dataclass(frozen=True)
class EvaluateConfig:
    """What is evaluated, on what, and how.

    Attributes:
        checkpoint: a stage, or the path of any checkpoint or release.
        resamples: of groups, which make the 95 % intervals.
        calibration: a stage that fitted the checkpoint's temperature.
        temperature: divides margins before the sigmoid that calibration is measured of; where
            `calibration` names a stage, that one's does instead.
        service: where to score, instead of in this process; it should serve `checkpoint`.
        device: in this process, as torch names it.
        dtype: in this process, of the backbone; scores are float32 whatever it is.
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


def run(config: EvaluateConfig, inputs: Path, output: Path) -> None:
    """Write `report.json`, `report.html`, and `accuracy.svg` of the first task.

    Raises:
        StageError: there is nothing to evaluate on, or the checkpoint was trained on it, or the
            calibration is of another one.
    """
    temperature = _temperature(config, inputs)
    loaded = [load(task, inputs, config.seed) for task in config.tasks]
    if not loaded:
        raise StageError("no task to run: give the config's `tasks` one")
    notes = _check_held_out(config.checkpoint, loaded, inputs)
    if temperature is None:
        notes.append(_UNFITTED.format(config.calibration))
    by = Measuring(Resampling(config.resamples, config.seed), temperature or 1.0)
    with _scorer(config, inputs) as scorer:
        tasks = [measure(each, scorer, by) for each in loaded]
        report = Report(config.checkpoint, scorer.name, tasks, notes)
    with writing_stage(config, output, reads=_reads(config, inputs)) as draft:
        write(report, draft.path)
        (draft.path / "report.html").write_text(page.html(report), encoding="utf-8")
        (draft.path / "accuracy.svg").write_bytes(plots.svg(tasks[0].tables[0]))
        draft.facts["left_out"] = {task.name: task.left_out for task in tasks}
        draft.facts["data"] = {each.task.name: each.files for each in loaded}


def _temperature(config: EvaluateConfig, inputs: Path) -> float | None:
    """None where the calibration has none to give."""
    if not config.calibration:
        return config.temperature
    of = lineage(inputs, [config.calibration])[config.calibration]["config"]["checkpoint"]
    if of != config.checkpoint:
        raise StageError(
            f"{config.calibration} is of {of} and {config.checkpoint} is evaluated: "
            f"run {config.calibration} on it"
        )
    return calibrate.read(inputs / config.calibration).temperature


def _check_held_out(checkpoint: str, loaded: list[Loaded], inputs: Path) -> list[str]:
    """What cannot be checked is noted in the report."""
    if not is_stage(inputs, checkpoint):
        return [_FOREIGN.format(checkpoint)]
    for each in loaded:
        problems = not isinstance(each.task, PairsTask)
        require_held_out(each.questions, inputs, checkpoint, by_request=problems)
    return []


@contextmanager
def _scorer(config: EvaluateConfig, inputs: Path) -> Iterator[QuestionScorer]:
    if config.service is None:
        folder = inputs / config.checkpoint
        yield NetworkScorer(folder, device=config.device, dtype=config.dtype)
        return
    scorer = HttpScorer(config.service)
    try:
        yield scorer
    finally:
        scorer.close()


def _reads(config: EvaluateConfig, inputs: Path) -> list[Path]:
    stages = [task.stage for task in config.tasks if isinstance(task, PairsTask)]
    stages += [config.checkpoint] if is_stage(inputs, config.checkpoint) else []
    stages += [config.calibration] if config.calibration else []
    return [inputs / stage for stage in dict.fromkeys(stages)]
