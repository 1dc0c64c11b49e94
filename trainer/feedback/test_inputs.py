"""Problems -> test inputs without outputs: asked of a language model, or of the given tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trainer.feedback.sandbox.types import Input
from trainer.pipeline.shards import read_shards

STEM = "inputs"


@dataclass(frozen=True)
class TestInputs:
    """The test inputs of a problem, all different."""

    __test__: ClassVar[bool] = False  # pytest would take the name for a class of tests

    problem: str
    inputs: tuple[Input, ...]


def read_test_inputs(folder: Path) -> list[TestInputs]:
    """All test inputs of a finished stage; a problem without any has no row."""
    return read_shards(folder, STEM, TestInputs)
