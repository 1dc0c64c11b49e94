"""Labels by a problem's own tests: each program is graded in the sandbox, its verdicts are kept."""

from collections import Counter
from collections.abc import Sequence

from trainer.feedback.answer_code import program_in
from trainer.feedback.grading import (
    SANDBOX_FAILED,
    UNGRADABLE,
    Grader,
    grade_all,
    pass_count,
)
from trainer.feedback.pass_count import PassCount, Verdict
from trainer.feedback.problem import Problem
from trainer.feedback.sample import Sample


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
    verdicts = grade_all(grader, (each for each in programs.values() if each[1]), workers)
    found = []
    for name, (problem, code) in programs.items():
        # A sample without code fails: a policy must not gain by giving none.
        fate = verdicts[problem, code] if code else (Verdict.COMPILE,) * len(problem.tests)
        if isinstance(fate, str) or not fate:
            counts[f"samples without a label: {fate or UNGRADABLE}"] += 1
            continue
        counted = pass_count(name, problem, fate)
        if counted is None:
            counts[f"samples without a label: {SANDBOX_FAILED}"] += 1
            continue
        counts["samples without code, which fail"] += not code
        counts["samples with a label"] += 1
        found.append(counted)
    return found
