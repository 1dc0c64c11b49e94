"""Samples and test inputs -> what every program did on every input."""

import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from trainer.feedback.answer_code import program_in
from trainer.feedback.problem import read_problems
from trainer.feedback.program_runs import STEM, InputRun, ProgramRuns
from trainer.feedback.programs import ProgramJob, job_of
from trainer.feedback.run_ledger import RunLedger, ledger_path
from trainer.feedback.runner import ProgramRunner, RunSettings
from trainer.feedback.sample import read_samples
from trainer.feedback.sandbox.open import SandboxConfig, open_sandbox
from trainer.feedback.sandbox.types import Sandbox, Status
from trainer.feedback.test_inputs import read_test_inputs
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import StageError, writing_stage


@dataclass(frozen=True)
class ExecutionConfig:
    """Which programs are run on which inputs, and how.

    Attributes:
        problems, inputs, samples: folders that are read. The samples may be those of a frontier
            model, whose outputs are to be the expected ones.
        gold: run the problems' reference programs too. They make no label; the accuracy of pseudo
            labels is measured by what they put out.
    """

    problems: str = "problems"
    inputs: str = "inputs"
    samples: str = "samples"
    gold: bool = True
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    execution: RunSettings = field(default_factory=RunSettings)
    rows_per_shard: int = 10_000


@dataclass(frozen=True)
class ProgramToRun:
    """A row of the output that has no outcomes yet; `sample` is empty for a reference program."""

    sample: str
    problem: str
    job: ProgramJob


def run(config: ExecutionConfig, inputs: Path, output: Path) -> None:
    """Read problems, inputs and samples; write runs. Outcomes are kept in `<output>-ledger` too."""
    counts: Counter[str] = Counter()
    programs = programs_to_run(config, inputs, counts)
    with open_sandbox(config.sandbox) as sandbox:
        execute(config, programs, counts, sandbox, inputs, output)


def programs_to_run(
    config: ExecutionConfig, inputs: Path, counts: Counter[str]
) -> list[ProgramToRun]:
    """The programs of samples and problems. Each sample is counted under what becomes of it.

    Raises:
        StageError: no sample has both code and inputs.
    """
    problems = {each.id: each for each in read_problems(inputs / config.problems)}
    test_inputs = {each.problem: each.inputs for each in read_test_inputs(inputs / config.inputs)}
    programs: list[ProgramToRun] = []
    for sample in read_samples(inputs / config.samples):
        problem = problems.get(sample.problem)
        code = program_in(problem, sample.text) if problem else ""
        if problem is None:
            reason = "its problem is not in the problems"
        elif problem.kind == "math":
            reason = "its problem asks for no program"
        elif not test_inputs.get(problem.id):
            reason = "its problem has no inputs"
        elif not code:
            reason = "no code"
        else:
            reason = "run"
            job = job_of(problem, code, test_inputs[problem.id])
            programs.append(ProgramToRun(sample.id, problem.id, job))
        counts[f"sample: {reason}"] += 1
    if not programs:
        raise StageError(
            f"no sample of {config.samples} can be run ({dict(counts)}): see whether it was made "
            f"from the problems of {config.problems} and the inputs of {config.inputs}"
        )
    for problem in problems.values():
        if config.gold and problem.kind != "math" and problem.gold and test_inputs.get(problem.id):
            job = job_of(problem, problem.gold, test_inputs[problem.id])
            programs.append(ProgramToRun("", problem.id, job))
            counts["reference program: run"] += 1
    return programs


def execute(
    config: ExecutionConfig,
    programs: list[ProgramToRun],
    counts: Counter[str],
    sandbox: Sandbox,
    inputs: Path,
    output: Path,
) -> None:
    """Run every distinct program once for each repeat, and write a row for each sample."""
    jobs = list(dict.fromkeys(each.job for each in programs))
    reads = [inputs / name for name in (config.problems, config.inputs, config.samples)]
    with RunLedger(ledger_path(output)) as ledger:
        runner = ProgramRunner(config.execution, sandbox, ledger)
        runner.run_missing(jobs)
        outcomes = {job: runner.outcomes(job) for job in jobs}
    rows = (
        ProgramRuns(
            sample=each.sample,
            problem=each.problem,
            code_hash=each.job.program_hash,
            outcomes=outcomes[each.job],
            is_gold=not each.sample,
        )
        for each in programs
    )
    facts = run_facts(outcomes.values())
    with writing_stage(config, output, reads=reads) as draft:
        write_shards(draft.path, STEM, rows, config.rows_per_shard)
        draft.facts["counts"] = dict(sorted(counts.items())) | facts
        draft.facts["isolation"] = sandbox.isolation
        draft.facts["left_for_the_next_run"] = dict(sorted(runner.failures.items()))
    if missing := facts["runs: missing"]:
        print(
            f"{output.name}: the sandbox failed to make {missing} runs, whose programs get no "
            f"label. Run `python -m trainer {output.name}` again to make only these",
            file=sys.stderr,
            flush=True,
        )


def run_facts(outcomes: Collection[tuple[InputRun, ...]]) -> dict[str, float]:
    """Numbers about the runs of all different programs."""
    runs = [run for each in outcomes for run in each]
    statuses = Counter(status for run in runs for status in run.statuses)
    missing = statuses.pop(Status.INFRASTRUCTURE, 0)
    return {
        "programs": len(outcomes),
        **{f"runs: {status}": number for status, number in sorted(statuses.items())},
        "runs: missing": missing,
        "inputs of a program": len(runs),
        "inputs of a program: repeats disagree": sum(
            run.is_complete and not run.agrees for run in runs
        ),
        "cpu_hours": round(sum(run.cpu_seconds for run in runs) / 3600, 4),
    }


def check(config: ExecutionConfig, _: Path) -> None:
    """Raise StageError without a sandbox, before the first stage of a run."""
    open_sandbox(config.sandbox).close()
