"""Report on policies: pass@k, accuracy and best-of-N on held-out problems, beside the start's."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from trainer.evaluation.held_out import require_held_out
from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.question import Question
from trainer.evaluation.scorers.http import HttpScorer, ServiceConfig
from trainer.evaluation.scorers.network import NetworkScorer
from trainer.evaluation.scorers.scorer import QuestionScorer
from trainer.feedback.problem import Problem
from trainer.pipeline.lineage import is_stage
from trainer.pipeline.stage import StageError, writing_stage
from trainer.policy import report_page
from trainer.policy.arms import (
    Arm,
    problems_of,
    read_arm,
    require_held_out_from,
    sampling_note,
)
from trainer.policy.report_file import PolicyReport, SolutionKind, write
from trainer.policy.section import section_of


@dataclass(frozen=True)
class PolicyReportConfig:
    """The policies to report on, and what chooses among their samples.

    Attributes:
        arms: the policies; the first is the start, which all others are compared with.
        problems: the stage of the problems, which no policy may have been trained on.
        max_n: the largest k of pass@k and N of best-of-N.
        reward_model: a stage, or the path of any checkpoint or release, that scores the samples in
            this process. Empty for none.
        service: a running service that scores instead.
        device: torch's name of the device, if scored in this process.
        dtype: of the reward model's backbone, if scored in this process.
        resamples: bootstrap resamples of problems for the 95 % intervals.
    """

    arms: tuple[Arm, ...]
    problems: str = "problems"
    max_n: int = 64
    reward_model: str = ""
    service: ServiceConfig | None = None
    device: str = "cpu"
    dtype: str = "float32"
    resamples: int = 2000
    seed: int = 1

    def __post_init__(self) -> None:
        """Raise StageError for what nothing can be compared in."""
        names = [arm.name for arm in self.arms]
        if not names or len(set(names)) < len(names):
            raise StageError("give at least one arm, and each a name of its own")
        if self.resamples < 1 or self.max_n < 1:
            raise StageError("resamples and max_n must be 1 or more")
        if self.reward_model and self.service:
            raise StageError("set either reward_model or service: both score the samples")


def run(config: PolicyReportConfig, inputs: Path, output: Path) -> None:
    """Write `report.json`, `report.md` and a picture of the curves of each kind of problem.

    Raises:
        StageError: an arm's stages do not belong together, its policy was trained on a problem of
            the report, or there is nothing that all arms can be compared on.
    """
    problems = problems_of(config.problems, inputs)
    for arm in config.arms:
        require_held_out_from(arm, problems, inputs)
    notes = [note_on_reward_model(config, problems, inputs)]
    arms = [read_arm(arm, problems, inputs) for arm in config.arms]
    kinds: dict[SolutionKind, list[Problem]] = {"programs": [], "answers": []}
    for problem in problems:
        kinds["answers" if problem.kind == "math" else "programs"].append(problem)
    resampling = Resampling(config.resamples, config.seed)
    with opened_scorer(config, inputs) as scorer:
        found = [
            section_of(kind, members, arms, scorer, config.max_n, resampling)
            for kind, members in kinds.items()
        ]
    left_out = {arm.arm.name: {k: v for k, v in arm.counts.items() if v} for arm in arms}
    report = PolicyReport(
        arms=[arm.name for arm in config.arms],
        scorer=scorer.name if scorer else "",
        sections=[section for section in found if section],
        notes=[note for note in [*notes, sampling_note(arms)] if note],
        left_out=left_out,
    )
    if not report.sections:
        raise StageError(
            f"no problem of {config.problems} has graded samples of every arm: {left_out}"
        )
    reads = [inputs / stage for stage in stages_read(config, inputs)]
    with writing_stage(config, output, reads=reads) as draft:
        write(report, draft.path)
        (draft.path / "report.md").write_text(report_page.markdown(report), encoding="utf-8")
        for section in report.sections:
            (draft.path / f"{section.kind}.svg").write_bytes(report_page.curves(section))
        draft.facts["counts"] = left_out
        draft.facts["figures"] = {
            section.kind: {
                name: asdict(compared)
                for name, compared in section.comparisons[0].rows["1"].items()
            }
            for section in report.sections
        }


def note_on_reward_model(
    config: PolicyReportConfig, problems: Sequence[Problem], inputs: Path
) -> str:
    """A sentence if it is not known what the reward model was trained on; else empty.

    Raises:
        StageError: it is a stage of this run that was trained on a problem of the report.
    """
    if config.reward_model and is_stage(inputs, config.reward_model):
        asked = [Question(each.id, each.group, each.statement, (), ()) for each in problems]
        require_held_out(asked, inputs, config.reward_model, by_request=False)
        return ""
    if not config.reward_model and not config.service:
        return ""
    return (
        "the reward model is not a stage of this run, so nothing says that it has not seen these "
        "problems"
    )


def stages_read(config: PolicyReportConfig, inputs: Path) -> list[str]:
    """The stages that the report is made from, each once."""
    stages = [config.problems]
    stages += [name for arm in config.arms for name in (arm.samples, arm.passes, arm.runs) if name]
    if config.reward_model and is_stage(inputs, config.reward_model):
        stages.append(config.reward_model)
    return list(dict.fromkeys(stages))


@contextmanager
def opened_scorer(config: PolicyReportConfig, inputs: Path) -> Iterator[QuestionScorer | None]:
    """The reward model that chooses; None without one."""
    with ExitStack() as stack:
        scorer: QuestionScorer | None = None
        if config.service:
            scorer = stack.enter_context(closing(HttpScorer(config.service)))
        elif config.reward_model:
            folder = inputs / config.reward_model
            scorer = NetworkScorer(folder, device=config.device, dtype=config.dtype)
        yield scorer
