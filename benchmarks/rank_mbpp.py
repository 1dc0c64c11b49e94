"""The main job on real input: does the reference solution come first among eight?

    python -m benchmarks.rank_mbpp --data ../shared/data/mbpp [--url http://127.0.0.1:8000]

For each problem: the reference, up to four of its mutants that fail the problem's asserts when they
are run, and other problems' references. All are scored in one request, over HTTP.
"""

import argparse
import random
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from scipy.stats import bootstrap
from tqdm import tqdm

from benchmarks.mbpp import Problem, passes, read_problems
from benchmarks.page import Cell, Page
from benchmarks.service_process import Running, running_service
from trainer.mutants import mutants

CANDIDATES = 8
_MOST_MUTANTS = 4


@dataclass(frozen=True)
class Question:
    """Candidates of one problem in the order in which they are sent; kinds beside them."""

    prompt: str
    candidates: tuple[str, ...]
    kinds: tuple[str, ...]


def main() -> None:
    options = _options()
    questions = list(make_questions(options.data, options.problems, options.seed))
    service = nullcontext(Running(options.url, 0, 0.0)) if options.url else None
    with service or running_service(options.model) as running:
        facts = httpx.get(f"{running.url}/v1/models").json()["data"][0]
        model = [_score(running.url, question) for question in tqdm(questions, desc="scoring")]
    page = Page("rank-mbpp", "Ranking MBPP solutions")
    page.say(
        f"{facts['id']} {facts['version']}, {len(questions)} problems of MBPP, "
        f"{CANDIDATES} candidates each: the reference, "
        f"{_mean(questions, 'mutant'):.1f} mutants that fail the problem's asserts when run and "
        f"{_mean(questions, 'other problem'):.1f} other problems' references, on average. All are "
        "normalised by `ast.unparse` without docstrings, so layout says nothing; the order is "
        f"shuffled. MBPP was not read in training. Seed {options.seed}."
    )
    _report(page, questions, model)
    print(page.write() if options.write else "")


def make_questions(data: Path, count: int, seed: int) -> Iterator[Question]:
    """The first `count` problems, shuffled by `seed`, whose reference passes and has a mutant."""
    rng = random.Random(seed)
    problems = read_problems(data)
    rng.shuffle(problems)
    made = 0
    for problem in tqdm(problems, desc="running mutants", total=count):
        if made == count:
            return
        wrong = _failing_mutants(problem, seed) if passes(problem.reference, problem) else []
        if wrong:
            made += 1
            yield _question(problem, wrong, problems, rng)


def _failing_mutants(problem: Problem, seed: int) -> list[str]:
    found: list[str] = []
    for mutant in mutants(problem.reference, 4 * _MOST_MUTANTS, f"{seed} {problem.id}"):
        if len(found) < _MOST_MUTANTS and not passes(mutant, problem):
            found.append(mutant)
    return found


def _question(
    problem: Problem, wrong: list[str], problems: list[Problem], rng: random.Random
) -> Question:
    others = [other.reference for other in problems if other.id != problem.id]
    strangers = rng.sample(others, CANDIDATES - 1 - len(wrong))
    answers = [("reference", problem.reference), *(("mutant", text) for text in wrong)]
    answers += [("other problem", text) for text in strangers]
    rng.shuffle(answers)
    kinds, candidates = zip(*answers, strict=True)
    return Question(problem.prompt, candidates, kinds)


def _score(url: str, question: Question) -> list[float]:
    entry = {"prompt": question.prompt, "candidates": question.candidates}
    answer = httpx.post(f"{url}/v1/score", json={"inputs": [entry]}, timeout=60).raise_for_status()
    scores: list[float] = [row["score"] for row in answer.json()["results"][0]["scores"]]
    return scores


def _report(page: Page, questions: list[Question], model: list[list[float]]) -> None:
    lengths = [[float(len(text)) for text in question.candidates] for question in questions]
    arms = {"model": model, "longest first": lengths, "shortest first": _negated(lengths)}
    rows: list[list[Cell]] = []
    for name, scores in arms.items():
        firsts = [first_share(q, s) for q, s in zip(questions, scores, strict=True)]
        low, high = _interval(firsts)
        top = float(np.mean(firsts))
        pairs = [pairwise(questions, scores, kind) for kind in ("mutant", "other problem")]
        rows.append([name, top, f"{low:.2f} to {high:.2f}", top * CANDIDATES, *pairs])
        page.facts[name] = {"first": top, "low": low, "high": high, "pairwise": pairs}
    rows.append(["chance", 1 / CANDIDATES, "exact", 1.0, 0.5, 0.5])
    page.table(
        ["", "reference first", "95 %", "x chance", "against mutants", "against other problems"],
        rows,
    )


def first_share(question: Question, scores: list[float]) -> float:
    """1 when the reference alone is best; a tie at the top shares the credit."""
    best = [
        kind for kind, score in zip(question.kinds, scores, strict=True) if score == max(scores)
    ]
    return best.count("reference") / len(best)


def pairwise(questions: list[Question], scores: list[list[float]], kind: str) -> float:
    """Share of candidates of a kind that the reference outranks, ties half."""
    credit = [
        0.5 if reference == score else float(reference > score)
        for question, row in zip(questions, scores, strict=True)
        for reference in [row[question.kinds.index("reference")]]
        for other, score in zip(question.kinds, row, strict=True)
        if other == kind
    ]
    return float(np.mean(credit))


def _interval(firsts: list[float]) -> tuple[float, float]:
    rng = np.random.default_rng(1)
    drawn = bootstrap((firsts,), np.mean, method="percentile", rng=rng).confidence_interval
    return float(drawn.low), float(drawn.high)


def _negated(scores: list[list[float]]) -> list[list[float]]:
    return [[-score for score in row] for row in scores]


def _mean(questions: list[Question], kind: str) -> float:
    return float(np.mean([question.kinds.count(kind) for question in questions]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rank_mbpp", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with mbpp.jsonl.gz")
    parser.add_argument("--url", help="a running service; without it one is started")
    parser.add_argument("--model", help="what to serve when one is started; default: the default")
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write the page under results/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
