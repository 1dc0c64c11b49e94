"""MBPP: problems with a reference solution and the asserts that judge a solution."""

import ast
import gzip
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs.isolated import comes_to_its_end

FILE = "mbpp.jsonl.gz"


@dataclass(frozen=True)
class Problem:
    """A request, its reference solution (normalised), and what is run to judge a solution.

    `setup` may use what the solution defines, so it comes after it.
    """

    id: int
    prompt: str
    reference: str
    setup: str
    asserts: tuple[str, ...]


def read_problems(folder: Path) -> list[Problem]:
    """All 974 problems, in the order of the file. Ends the program where it is not."""
    if not (folder / FILE).is_file():
        sys.exit(f"{folder / FILE}: missing; benchmarks/README.md says what --data must hold")
    with gzip.open(folder / FILE, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    return [
        Problem(
            row["task_id"],
            row["text"].strip(),
            normalise(row["code"]),
            row["test_setup_code"],
            tuple(row["test_list"]),
        )
        for row in rows
    ]


def normalise(code: str) -> str:
    """The same program in the one layout of `ast.unparse`, without comments and docstrings."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def passes(program: str, problem: Problem) -> bool:
    """Whether the program meets every assert of the problem in time, run in its own process."""
    return comes_to_its_end("\n".join([program, problem.setup, *problem.asserts]))
