"""A handful of texts in the files that benchmarks read."""

import gzip
import json
from pathlib import Path

from benchmarks.inputs.candidates import FILE
from benchmarks.inputs.corpus import Corpus

CORPUS = Corpus(
    problems=tuple(f"Ann has {n} apples and eats {n - 1} of them. How many?" for n in range(2, 30)),
    solutions=tuple(f"{n} - {n - 1} = 1, so one apple is left. A: 1" for n in range(2, 90)),
)


def write_corpus(folder: Path) -> Path:
    """The problems with three solutions each, as the shared data folder has them."""
    solutions = iter(CORPUS.solutions)
    rows = [
        {"prompt": problem, "candidates": [{"text": next(solutions)} for _ in range(3)]}
        for problem in CORPUS.problems
    ]
    (folder / "candidates").mkdir(parents=True)
    with gzip.open(folder / "candidates" / FILE, "wt") as stream:
        stream.write("\n".join(map(json.dumps, rows)))
    return folder
