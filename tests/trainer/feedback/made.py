"""Rows of the feedback stages, made by hand, and stage folders that hold them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.feedback import problem, program_runs, sample
from trainer.feedback.problem import Problem
from trainer.feedback.program_runs import InputRun, ProgramRuns
from trainer.feedback.sample import Sample, Sampler
from trainer.feedback.sandbox.types import Status
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import Dataclass, writing_stage


@dataclass(frozen=True)
class Made:
    """The config of a stage that a test wrote."""

    what: str


def make_stage(folder: Path, rows: dict[str, Sequence[Dataclass]]) -> None:
    """A finished stage with these rows by their stems."""
    with writing_stage(Made(folder.name), folder) as draft:
        for stem, each in rows.items():
            write_shards(draft.path, stem, each, 1000)


def make_problems(folder: Path, problems: Sequence[Problem]) -> None:
    make_stage(folder, {problem.STEM: problems})


def make_samples(folder: Path, samples: Sequence[Sample]) -> None:
    make_stage(folder, {sample.STEM: samples})


def make_runs(folder: Path, runs: Sequence[ProgramRuns]) -> None:
    make_stage(folder, {program_runs.STEM: runs})


def function(name: str, gold: str = "") -> Problem:
    return Problem(name, name, "function", f"Write {name}.", entry_point="f", gold=gold)


def sampled(problem_id: str, number: int, text: str = "", **facts: object) -> Sample:
    made = Sample(
        id=f"{problem_id}-{number}",
        problem=problem_id,
        number=number,
        prompt=f"Solve {problem_id}.",
        text=text or f"def f(): return {number}",
        finish_reason="stop",
        sampler=Sampler("policy", weights="w", template="t"),
    )
    return Sample(**{**vars(made), **facts})


def ran(*outputs: str | Status, repeats: int = 2) -> InputRun:
    """A run that has the same output, or ends the same way, in each repeat; or these outcomes."""
    each = list(outputs) * repeats if len(outputs) == 1 else list(outputs)
    return InputRun(
        statuses=tuple(one if isinstance(one, Status) else Status.OK for one in each),
        outputs=tuple("" if isinstance(one, Status) else one for one in each),
    )


def runs_of(sample_id: str, problem_id: str, *outputs: str | Status | InputRun) -> ProgramRuns:
    """The runs of a sample's program; of the gold program if `sample_id` is empty."""
    outcomes = tuple(one if isinstance(one, InputRun) else ran(one) for one in outputs)
    return ProgramRuns(sample_id, problem_id, "hash", outcomes, is_gold=not sample_id)
