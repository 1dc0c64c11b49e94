"""Labelled answers of a policy: which of them can be compared, and which are the same."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from trainer.feedback.answer_code import program_in
from trainer.feedback.pass_count import PassCount, Verdict
from trainer.feedback.problem import Problem
from trainer.feedback.same_program import program_key
from trainer.feedback.sample import Sample, Sampler
from trainer.pairs.group import trimmed

LabelledSample = tuple[Sample, PassCount]


def comparable(labelled: Iterable[LabelledSample]) -> list[list[LabelledSample]]:
    """Answers of one sampler to one prompt, judged by as many tests.

    Across samplers the better answer is the better model's, which is not what a pair should teach.
    """
    found: dict[tuple[Sampler, str, tuple[int, ...], int], list[LabelledSample]] = defaultdict(list)
    for sample, passes in sorted(labelled, key=lambda each: (each[0].number, each[0].id)):
        key = (sample.sampler, sample.prompt, sample.prompt_ids, passes.total)
        found[key].append((sample, passes))
    return list(found.values())


def distinct_answers(
    problem: Problem, labelled: Sequence[LabelledSample], rename_locals: bool, counts: Counter[str]
) -> list[LabelledSample]:
    """Each program once; for problems with a final answer, each text once.

    A program that was judged in two ways is left out: its behaviour depends on something else.
    """
    same: dict[str, list[LabelledSample]] = defaultdict(list)
    for sample, passes in labelled:
        if problem.kind == "math":
            key = trimmed(sample.text)
        else:
            key = program_key(program_in(problem, sample.text), rename_locals=rename_locals)
        same[key].append((sample, passes))
    kept = []
    for alike in same.values():
        if len({passes.passed for _, passes in alike}) > 1:
            counts["answers judged both ways"] += len(alike)
            continue
        counts["answers of the same program as another"] += len(alike) - 1
        counts["answers compared"] += 1
        kept.append(alike[0])
    return kept


def kind_of(passes: PassCount) -> str:
    """Return the first verdict of an answer that is not OK, which says what is wrong with it."""
    wrong = (verdict.value for verdict in passes.verdicts if verdict is not Verdict.OK)
    return next(wrong, "passing" if passes.passed == passes.total else "failing")
