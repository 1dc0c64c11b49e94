"""Real preference pairs with shared prompts: right and wrong solutions of one problem."""

import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.inputs.candidates import ModelSolution, SolvedProblem, read_solved_problems
from trainer.pairs.row import PreferenceRow, Rejected


def read_pairs(
    folder: Path, rivals: int, *, same_family: bool = True, seed: int = 0
) -> list[PreferenceRow]:
    """A row for each right solution that has `rivals` wrong ones, of the same family of models.

    From `candidates/` of the data folder, or from the folder itself.
    Within a family, because across families the longer solution is usually the better model's; for
    speed alone that does not matter, and few families have many wrong ones.
    """
    rng = random.Random(seed)
    problems = read_solved_problems(folder)
    rows = [row for problem in problems for row in _rows(problem, rivals, rng, same_family)]
    rng.shuffle(rows)
    return rows


def _rows(
    problem: SolvedProblem, rivals: int, rng: random.Random, same_family: bool
) -> Iterator[PreferenceRow]:
    families: defaultdict[str, list[ModelSolution]] = defaultdict(list)
    for solution in problem["candidates"]:
        family = solution["model"].partition("/")[0] if same_family else "any"
        families[family].append(solution)
    for family, solutions in families.items():
        wrong = [s for s in solutions if not s["correct"]]
        for number, right in enumerate(s for s in solutions if s["correct"]):
            if len(wrong) >= rivals:
                drawn = rng.sample(wrong, rivals)
                rejected = tuple(Rejected("wrong", solution["text"]) for solution in drawn)
                name = f"{problem['id']}-{family}-{number}"
                yield PreferenceRow(name, problem["id"], problem["prompt"], right["text"], rejected)
