"""Sets of real answers, each known to be right or wrong: what a release is asked to rank."""

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from benchmarks.inputs.labelled import read_sampled, read_solved
from benchmarks.real_samples.completion import completion_in
from trainer.evaluation.question import Question, text_of
from trainer.feedback.answer_code import continued
from trainer.feedback.grading import Grader, Submission, grade_all
from trainer.feedback.pass_count import Verdict
from trainer.feedback.problem import Problem, read_problems
from trainer.feedback.readers.human_eval import HumanEval
from trainer.feedback.readers.mbpp import SPLITS
from trainer.feedback.sandbox.open import SandboxConfig, open_sandbox
from trainer.feedback.sandbox.types import Limits
from trainer.feedback.verdict_ledger import VerdictLedger
from trainer.pairs.row import read_pairs

FAMILY = "openai"
"""Writers of the GSM8K solutions: GPT-3 finetuned on GSM8K, 6B and 175B, alone and chosen by a
verifier."""

_SOLUTIONS = 4
"""GPT-4's solutions that are taken of each problem, from the first one on."""


@dataclass(frozen=True)
class SampleSet:
    """Questions that are ranked and reported together, one for each problem.

    Attributes:
        what: for the page: who wrote the answers, in which form, and who says what is right.
        ranks_pairs: the aim is pairwise accuracy; otherwise it is the best of N.
    """

    name: str
    what: str
    questions: list[Question]
    ranks_pairs: bool = False


class _Solution(TypedDict):
    """A row of Reflexion's logs."""

    name: str
    prompt: str
    entry_point: str
    test: str
    solution: str


def sampled_sets(
    name: str, stages: Sequence[Path], max_problems: int, ledger: Path
) -> list[SampleSet]:
    """Samples of the first problems as they were written, and where there is a head to continue, as
    completions as well.
    """
    questions = read_sampled(stages, name)[:max_problems]
    writer = "programs as a language model answered, right if they pass their problem's tests"
    sets = [SampleSet(name, writer, questions)]
    problems = {problem.id: problem for problem in read_problems(stages[0])}
    if all(problems[question.id].prefix for question in questions):
        what = (
            "the same answers in HumanEval's form: the request is the head with its docstring, the "
            "candidate is the body alone, and head and body pass the tests when they are run"
        )
        asked = [_as_completions(question, problems[question.id]) for question in questions]
        sets.append(SampleSet(f"{name}, completions", what, _labelled(asked, problems, ledger)))
    return sets


def other_writer(folder: Path, max_problems: int, ledger: Path) -> SampleSet:
    """GPT-4's solutions of MBPP problems, from the logs of Reflexion; of the test split alone."""
    rows: dict[str, list[_Solution]] = defaultdict(list)
    for file in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as stream:
            for line in stream:
                row: _Solution = json.loads(line)
                rows[row["name"]].append(row)
    problems, questions = {}, []
    for name, solutions in rows.items():
        if int(name.split("_")[1]) not in SPLITS["test"]:
            continue
        first = solutions[0]
        problem = HumanEval().read({**first, "task_id": name, "canonical_solution": "    pass"})
        problems[problem.id] = problem
        texts = tuple(row["solution"] for row in solutions[:_SOLUTIONS])
        wrong = (False,) * len(texts)
        questions.append(Question(name, name, first["prompt"], texts, wrong, source="GPT-4"))
    what = (
        "GPT-4's solutions of MBPP's test split, from the logs of Reflexion: the request is the "
        "head with its docstring, the candidate the whole function, right if it passes the tests"
    )
    return SampleSet("MBPP by GPT-4", what, _labelled(questions[:max_problems], problems, ledger))


def solved_set(data: Path, held_out: Path | None, max_problems: int) -> SampleSet:
    """GSM8K's problems within one family; with a stage of pairs, of its evaluation split alone."""
    questions = read_solved(data, FAMILY, "GSM8K")
    if held_out:
        groups = {row.group for row in read_pairs(held_out, "evaluation")}
        questions = [question for question in questions if question.group in groups]
        if not questions:
            raise ValueError(f"no problem of GSM8K is in the evaluation split of {held_out.name}")
    what = (
        "solutions of GSM8K by one family of models (GPT-3 finetuned on it in two sizes, as "
        "sampled and as chosen by a verifier), right by the answer; "
        + ("problems that the release holds out" if held_out else "all problems that there are")
    )
    return SampleSet("GSM8K, one family", what, questions[:max_problems], ranks_pairs=True)


def _as_completions(question: Question, problem: Problem) -> Question:
    bodies = tuple(completion_in(problem, text_of(answer)) for answer in question.answers)
    return replace(question, prompt=problem.prefix, answers=bodies, source="completions")


def _labelled(
    questions: list[Question], problems: dict[str, Problem], ledger: Path
) -> list[Question]:
    """The questions with labels by running each answer; without those that cannot be judged."""

    def submission(question: Question, text: str) -> Submission:
        problem = problems[question.id]
        # A completion is run as what it continues; a whole function stands for itself.
        whole = continued(problem.prefix, text) if question.source == "completions" else text
        return problem, whole

    submitted = [submission(each, text_of(answer)) for each in questions for answer in each.answers]
    with open_sandbox(SandboxConfig()) as sandbox, VerdictLedger(ledger) as known:
        grader = Grader(sandbox, Limits(), max_timeouts=1, ledger=known)
        verdicts = grade_all(grader, submitted, sandbox.workers)
    found = []
    unjudged: Counter[str] = Counter()
    for question in questions:
        fates = [verdicts[submission(question, text_of(answer))] for answer in question.answers]
        if reasons := [fate for fate in fates if isinstance(fate, str)]:
            unjudged[reasons[0]] += 1
            continue
        correct = tuple(all(verdict is Verdict.OK for verdict in fate) for fate in fates)
        found.append(replace(question, correct=correct))
    for reason, count in unjudged.items():
        print(f"{count} problems are left out: {reason}")
    return found
