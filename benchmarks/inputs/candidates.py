"""Problems of GSM8K with the solutions that models wrote for them, each judged."""

import gzip
import json
from pathlib import Path
from typing import NotRequired, TypedDict

FILE = "gsm8k_test_first660.jsonl.gz"


class ModelSolution(TypedDict):
    """A solution that a model wrote."""

    model: str
    text: str
    correct: bool


class SolvedProblem(TypedDict):
    """A problem with its solutions; the reference is the data set's own."""

    id: str
    prompt: str
    reference: NotRequired[str]
    candidates: list[ModelSolution]


def read_solved_problems(folder: Path) -> list[SolvedProblem]:
    """Read all problems from `candidates/` of the data folder, or from the folder itself.

    Raises:
        FileNotFoundError: the file is in neither.
    """
    nested = folder / "candidates" / FILE
    with gzip.open(nested if nested.exists() else folder / FILE, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
