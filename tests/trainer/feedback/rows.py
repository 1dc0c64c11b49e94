"""Finished stages of feedback that a test writes itself: samples, pass counts and others."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainer.feedback import pass_count, sample
from trainer.feedback.pass_count import PassCount
from trainer.feedback.sample import Sample, Sampler
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import Dataclass, writing_stage

SAMPLER = Sampler(model="coder", weights="w" * 64, template="t" * 64, temperature=1.0)


@dataclass(frozen=True)
class Made:
    """The config of a stage that a test has written."""

    by: str = "a test"


def make_stage(folder: Path, stem: str, rows: Iterable[Dataclass]) -> None:
    with writing_stage(Made(), folder) as draft:
        write_shards(draft.path, stem, rows, 1000)


def make_samples(work: Path, samples: Iterable[Sample], stage: str = "samples") -> None:
    make_stage(work / stage, sample.STEM, samples)


def make_passes(work: Path, passes: Iterable[PassCount], stage: str = "votes") -> None:
    make_stage(work / stage, pass_count.STEM, passes)


def answer(name: str, text: str, problem: str = "add", **fields: object) -> Sample:
    """A sample of the problem with this text."""
    made = Sample(name, problem, 0, f"Solve {problem}.", text, "stop", SAMPLER)
    return Sample(**{**vars(made), **fields})
