"""The policies that a report compares, with their samples and how many of those pass."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainer.feedback.answer_code import program_in
from trainer.feedback.pass_count import read_pass_counts
from trainer.feedback.problem import Problem, read_problems
from trainer.feedback.program_runs import ProgramRuns, read_program_runs
from trainer.feedback.sample import Sample, read_samples
from trainer.pairs.policy_row import STEM, read_policy_rows
from trainer.pipeline.lineage import lineage
from trainer.pipeline.stage import StageError, read_manifest

# Problems that an error message names; it counts the others.
MAX_NAMED = 5


@dataclass(frozen=True)
class Arm:
    """A policy under a name for the report.

    Attributes:
        samples: the stage of its samples.
        passes: the stage that counted how many given tests each of them passes.
        runs: a stage that ran its programs on test inputs. Programs with the same outputs vote
            together; without it there is no majority among programs.
    """

    name: str
    samples: str
    passes: str
    runs: str = ""


@dataclass(frozen=True)
class GradedSample:
    """A sample, and whether it passes all given tests of its problem."""

    sample: Sample
    correct: bool


@dataclass
class GradedArm:
    """A policy with its graded samples, by problem.

    Attributes:
        runs: of its programs on test inputs; empty if there is no stage of them.
        counts: samples by what became of them.
    """

    arm: Arm
    by_problem: dict[str, list[GradedSample]]
    runs: list[ProgramRuns] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def read_arm(arm: Arm, problems: Sequence[Problem], inputs: Path) -> GradedArm:
    """Join an arm's samples with their pass counts.

    A sample without a pass count has no label: its run failed for a reason that is not its own. It
    is left out and counted, because calling it wrong would blame the policy. A sample without a
    program was never run, and is wrong.

    Raises:
        StageError: the pass counts are of other samples, or no sample has one.
    """
    for stage in filter(None, (arm.passes, arm.runs)):
        require_same_samples(arm, stage, inputs)
    passed = {each.sample: each for each in read_pass_counts(inputs / arm.passes)}
    runs = read_program_runs(inputs / arm.runs) if arm.runs else []
    graded = GradedArm(arm, {problem.id: [] for problem in problems}, runs)
    samples: dict[str, list[Sample]] = {problem.id: [] for problem in problems}
    for sample in read_samples(inputs / arm.samples):
        if sample.problem in samples:
            samples[sample.problem].append(sample)
        else:
            graded.counts["sample: of another problem"] += 1
    for problem in problems:
        own = samples[problem.id]
        empty = {
            sample.id
            for sample in own
            if problem.kind != "math" and not program_in(problem, sample.text)
        }
        # Where no program was graded the problem has no usable tests, and none is wrong by them.
        if len(empty) < len(own) and not any(sample.id in passed for sample in own):
            graded.counts["sample: of a problem without labels"] += len(own)
            continue
        for sample in own:
            count = passed.get(sample.id)
            if count is None and sample.id not in empty:
                graded.counts["sample: without a label"] += 1
                continue
            correct = count is not None and 0 < count.total == count.passed
            graded.counts["sample: graded"] += 1
            graded.counts["sample: without a program, which is wrong"] += sample.id in empty
            graded.by_problem[problem.id].append(GradedSample(sample, correct))
    if not graded.counts["sample: graded"]:
        raise StageError(
            f"{arm.name}: no sample of {arm.samples} has a pass count in {arm.passes} for a "
            f"problem of this report: {dict(graded.counts)}"
        )
    return graded


def require_same_samples(arm: Arm, stage: str, inputs: Path) -> None:
    """Raise StageError if a stage was not made from the arm's samples that are there now."""
    found = lineage(inputs, [stage])  # raises where a stage has changed since
    if arm.samples not in found:
        others = ", ".join(name for name in found if name != stage) or "nothing"
        raise StageError(f"{arm.name}: {stage} is not of {arm.samples}; it was made from {others}")


def require_held_out_from(arm: Arm, problems: Sequence[Problem], inputs: Path) -> None:
    """Raise StageError if the arm's policy was trained on pairs of a problem of the report."""
    trained = trained_groups(arm.samples, inputs)
    if leaked := sorted({problem.group for problem in problems} & trained):
        named = ", ".join(leaked[:MAX_NAMED])
        more = f" and {len(leaked) - MAX_NAMED} more" if len(leaked) > MAX_NAMED else ""
        raise StageError(
            f"{arm.name}: its policy was trained on {named}{more}: report on problems that are "
            "held out from the pairs"
        )


def trained_groups(stage: str, inputs: Path) -> set[str]:
    """Groups of all policy pairs that a stage's policy was trained on, as manifests tell."""
    groups: set[str] = set()
    for name, manifest in lineage(inputs, [stage]).items():
        if any(file.startswith(f"{STEM}-") for file in manifest["files"]):
            groups |= {row.group for row in read_policy_rows(inputs / name)}
    return groups


def sampling_note(arms: Sequence[GradedArm]) -> str:
    """A sentence where arms were sampled differently, which compares settings; else empty."""
    settings = {
        arm.arm.name: sorted(
            {
                (str(s.sampler.temperature), str(s.sampler.top_p), str(s.sampler.max_tokens))
                for samples in arm.by_problem.values()
                for s in (graded.sample for graded in samples)
            }
        )
        for arm in arms
    }
    if len({tuple(each) for each in settings.values()}) == 1:
        return ""
    told = "; ".join(
        f"{name}: "
        + " and ".join(f"temperature {t}, top_p {p}, max_tokens {m}" for t, p, m in each)
        for name, each in settings.items()
    )
    return f"the policies were sampled with different settings ({told}), which differences include"


def problems_of(stage: str, inputs: Path) -> list[Problem]:
    """The problems of a report.

    Raises:
        StageError: there are none.
    """
    problems = read_problems(inputs / stage)
    if not problems:
        counts = read_manifest(inputs / stage).get("counts")
        raise StageError(f"{stage} holds no problems: {counts}")
    return problems
