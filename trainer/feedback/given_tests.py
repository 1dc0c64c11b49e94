"""Labels by a problem's own tests: each program is graded in the sandbox, its verdicts are kept."""

from collections import Counter
from collections.abc import Sequence

from trainer.feedback.answer_code import program_in
from trainer.feedback.grading import Grader, InfrastructureError, pass_count
from trainer.feedback.pass_count import PassCount, Verdict
from trainer.feedback.problem import Problem
from trainer.feedback.replay import Ungradable
from trainer.feedback.sample import Sample
from trainer.feedback.threads import in_threads

Job = tuple[Problem, str]
"""A problem and a program for it."""

UNGRADABLE = "their problem's tests judge nothing"


def grade_samples(
    problems: Sequence[Problem],
    samples: dict[str, list[Sample]],
    grader: Grader,
    workers: int,
    counts: Counter[str],
) -> list[PassCount]:
    """A pass count for each sample, except where the sandbox failed or no test judges anything.

    Args:
        samples: of each problem by its id.
        grader: with a ledger of verdicts, from which a run that was killed goes on.
        workers: programs at a time.
    """
    programs = {
        sample.id: (problem, program_in(problem, sample.text))
        for problem in problems
        for sample in samples[problem.id]
    }
    jobs = list(dict.fromkeys(job for job in programs.values() if job[1]))
    graded = in_threads(
        lambda job: verdicts_of(grader, *job), jobs, workers, what="grade", unit="programs"
    )
    verdicts = dict(zip(jobs, graded, strict=True))
    found = []
    for name, (problem, code) in programs.items():
        # A sample without code fails: a policy must not gain by giving none.
        fate = verdicts[problem, code] if code else (Verdict.COMPILE,) * len(problem.tests)
        if isinstance(fate, str) or not fate:
            counts[f"samples without a label: {fate or UNGRADABLE}"] += 1
            continue
        counted = pass_count(name, problem, fate)
        if counted is None:
            counts["samples without a label: the sandbox failed"] += 1
            continue
        counts["samples without code, which fail"] += not code
        counts["samples with a label"] += 1
        found.append(counted)
    return found


def verdicts_of(grader: Grader, problem: Problem, code: str) -> tuple[Verdict, ...] | str:
    """The verdicts of a program, or the reason why it has none."""
    try:
        return grader.grade(problem, code)
    except Ungradable:
        return UNGRADABLE
    except InfrastructureError:
        return "the sandbox failed"
