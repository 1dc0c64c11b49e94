"""A stage of problems that tests sample from."""

from pathlib import Path

from trainer.feedback.problem import STEM, CallTest, Problem
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import writing_stage

ADD = Problem(
    id="add",
    group="add",
    kind="function",
    statement="Add two numbers.",
    entry_point="add",
    signature="def add(a, b):",
    gold="def add(a, b):\n    return a + b\n",
    tests=(CallTest("(1, 2)", "3"), CallTest("(2, 2)", "4"), CallTest("(-1, 1)", "0")),
)
SUM = Problem(
    id="sum",
    group="sum",
    kind="math",
    statement="What is 1234 plus 8765?",
    gold="9999",
)


def write_problems(folder: Path, *problems: Problem) -> None:
    """Write a finished stage of these problems."""
    with writing_stage(ADD, folder) as draft:
        write_shards(draft.path, STEM, problems, 100)
