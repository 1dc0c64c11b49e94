"""Small finished stages of problems, samples and pass counts, as a run has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.feedback import pass_count, problem, sample
from trainer.feedback.pass_count import PassCount
from trainer.feedback.problem import Problem
from trainer.feedback.sample import Sample, Sampler
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import writing_stage


@dataclass(frozen=True)
class MadeConfig:
    """The config of a stage that a test made."""

    name: str = ""


def make_problems(
    work: Path, ids: Sequence[str], kind: Literal["function", "math"] = "function"
) -> None:
    with writing_stage(MadeConfig(), work / "problems") as draft:
        rows = [Problem(each, f"group {each}", kind, f"Solve {each}.") for each in ids]
        write_shards(draft.path, problem.STEM, rows, 100)


def make_samples(
    work: Path,
    name: str,
    passing: Mapping[str, Sequence[bool | None]],
    *,
    texts: Mapping[str, Sequence[str]] | None = None,
    reads: Sequence[str] = ("problems",),
    temperature: float = 1.0,
) -> None:
    """Write the stages `<name>_samples` and `<name>_passes`; None for a sample without a label."""
    sampler = Sampler(name, temperature=temperature)
    rows, counts = [], []
    for task, each in passing.items():
        for number, passed in enumerate(each):
            text = texts[task][number] if texts else f"answer {number} of {name}"
            row = Sample(
                f"{name} {task} {number}", task, number, f"Solve {task}.", text, "stop", sampler
            )
            rows.append(row)
            if passed is not None:
                counts.append(PassCount(row.id, task, 3 if passed else 1, 3))
    folders = [work / read for read in reads]
    with writing_stage(MadeConfig(name), work / f"{name}_samples", reads=folders) as draft:
        write_shards(draft.path, sample.STEM, rows, 100)
    folders = [work / "problems", work / f"{name}_samples"]
    with writing_stage(MadeConfig(name), work / f"{name}_passes", reads=folders) as draft:
        write_shards(draft.path, pass_count.STEM, counts, 100)
