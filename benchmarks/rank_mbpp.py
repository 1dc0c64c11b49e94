"""The main job on real input: does the reference solution come first among eight?

    python -m benchmarks.rank_mbpp --data ../shared/data/mbpp [--url http://127.0.0.1:8000]

For each problem: the reference, up to four of its mutants that fail the problem's asserts when they
are run, and other problems' references. All are scored in one request, over HTTP.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.harness import ranking
from benchmarks.harness.page import Cell, Page, add_output_options, verdict
from benchmarks.harness.ranking import Credit, Estimate
from benchmarks.harness.service_process import Service, own_service, service_at
from benchmarks.inputs.mbpp import read_problems
from benchmarks.inputs.questions import (
    CANDIDATES,
    MUTANT,
    REFERENCE,
    STRANGER,
    Question,
    make_questions,
)

CHANCE = 1 / CANDIDATES
_CHANCE_RECIPROCAL = sum(1 / rank for rank in range(1, CANDIDATES + 1)) / CANDIDATES
_TARGET = 3.0
"""Times chance; what this project aims at."""

Scores = list[list[float]]
"""For each question, of each candidate."""


@dataclass(frozen=True)
class Arm:
    """One way of ranking, and how well it ranks."""

    firsts: list[Credit]
    first: Estimate
    reciprocal_rank: Estimate
    mutants: Estimate
    strangers: Estimate


def main() -> None:
    options = _options()
    page = Page("rank-mbpp", "Ranking MBPP solutions")
    found = make_questions(read_problems(options.data), options.problems, options.seed)
    questions = list(tqdm(found, desc="running solutions", total=options.problems))
    with service_at(options.url) if options.url else own_service(options.model) as service:
        release = service.release()
        model = [_score(service, question) for question in tqdm(questions, desc="scoring")]
    _introduce(page, release, questions, options.seed)
    _report(page, {name: measure(questions, scores) for name, scores in _arms(questions, model)})
    _say_unscored(page, model)
    page.write(options)


def measure(questions: Sequence[Question], scores: Scores) -> Arm:
    """Every figure of one way of ranking."""
    rows = [(q, q.kinds.index(REFERENCE), row) for q, row in zip(questions, scores, strict=True)]
    firsts = [ranking.first(right, row) for _, right, row in rows]

    def against(kind: str) -> Estimate:
        return ranking.estimate(
            [
                ranking.pairs(right, row, [i for i, other in enumerate(q.kinds) if other == kind])
                for q, right, row in rows
            ]
        )

    return Arm(
        firsts,
        ranking.estimate(firsts),
        ranking.estimate([ranking.reciprocal_rank(right, row) for _, right, row in rows]),
        against(MUTANT),
        against(STRANGER),
    )


def _score(service: Service, question: Question) -> list[float]:
    """A candidate without a score, because it is too long, ranks last."""
    answer = service.score(question.prompt, question.candidates)
    return [-math.inf if score is None else score for score in answer.scores]


def _arms(questions: Sequence[Question], model: Scores) -> list[tuple[str, Scores]]:
    lengths = [[float(len(text)) for text in question.candidates] for question in questions]
    shortest = [[-length for length in row] for row in lengths]
    return [("model", model), ("longest first", lengths), ("shortest first", shortest)]


def _introduce(page: Page, release: str, questions: Sequence[Question], seed: int) -> None:
    count = len(questions)
    average = {
        kind: sum(question.kinds.count(kind) for question in questions) / count
        for kind in (MUTANT, STRANGER)
    }
    page.facts |= {"release": release, "problems": [question.problem for question in questions]}
    page.say(
        f"{release}, over HTTP. {count} problems of MBPP (seed {seed}) whose reference passes its "
        f"own asserts and has a mutant that does not. {CANDIDATES} candidates each: the reference, "
        f"{average[MUTANT]:.1f} mutants of it and {average[STRANGER]:.1f} other problems' "
        "references on average, each of which failed the problem's asserts when it was run. "
        "All candidates went through one normalisation, imports and all (`ast.parse`, docstrings "
        "removed, `ast.unparse`), so layout and comments say nothing. Their order is shuffled."
    )


def _report(page: Page, arms: dict[str, Arm]) -> None:
    rows: list[list[Cell]] = [_row(name, arm) for name, arm in arms.items()]
    rows.append(["chance, exact", "0.125", "1.00", f"{_CHANCE_RECIPROCAL:.3f}", "0.500", "0.500"])
    page.table(
        [
            "ranked by",
            "reference first",
            "x chance",
            "mean reciprocal rank",
            "pairwise, mutants",
            "pairwise, other problems",
        ],
        rows,
    )
    page.say("In brackets 95 % intervals from a bootstrap over problems. Ties share credit.")
    _compare(page, arms)
    page.facts["arms"] = {name: _figures(arm) for name, arm in arms.items()}


def _row(name: str, arm: Arm) -> list[Cell]:
    estimates = (arm.first, arm.reciprocal_rank, arm.mutants, arm.strangers)
    first, *others = map(str, estimates)
    return [name, first, f"{arm.first.mean / CHANCE:.2f}", *others]


def _compare(page: Page, arms: dict[str, Arm]) -> None:
    model, lengths = arms["model"], {name: arm for name, arm in arms.items() if name != "model"}
    rule = max(lengths, key=lambda name: lengths[name].first.mean)
    more = ranking.difference(model.firsts, lengths[rule].firsts)
    times = model.first.mean / CHANCE
    page.say(
        f"The reference is first {times:.2f} times as often as by chance (aim: {_TARGET:.0f} "
        f"times, {verdict(times >= _TARGET)}). Share of problems in which the model puts it first, "
        f"less the share of {rule}, the better of the two length rules: {more}."
    )
    page.facts |= {"times_chance": times, "more_than_length": asdict(more)}


def _figures(arm: Arm) -> dict[str, object]:
    return {name: value for name, value in asdict(arm).items() if name != "firsts"}


def _say_unscored(page: Page, model: Scores) -> None:
    unscored = sum(score == -math.inf for row in model for score in row)
    if unscored:
        page.say(f"{unscored} candidates were too long for the model and rank last.")
    page.facts["unscored"] = unscored


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rank_mbpp", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with mbpp.jsonl.gz")
    parser.add_argument("--url", help="a running service; without it one is started")
    parser.add_argument("--model", help="what to serve when one is started; default: the default")
    parser.add_argument("--problems", type=int, default=100, help="at least 2")
    parser.add_argument("--seed", type=int, default=1)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
