"""All figures on the problems of one kind."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from trainer.evaluation.measures.answers import agreeing
from trainer.evaluation.measures.candidates import curve_sizes
from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.measures.math_judge import MathJudge
from trainer.evaluation.measures.pass_at_k import pass_at_k
from trainer.evaluation.measures.votes import NO_ANSWER
from trainer.evaluation.question import Question
from trainer.evaluation.scorers.scorer import QuestionScorer
from trainer.feedback.problem import Problem
from trainer.feedback.program_runs import ProgramRuns
from trainer.policy import choosing
from trainer.policy.arms import GradedArm, GradedSample
from trainer.policy.choosing import Candidates
from trainer.policy.comparison import ArmComparison, compare
from trainer.policy.report_file import Section, SolutionKind


def section_of(
    kind: SolutionKind,
    problems: Sequence[Problem],
    arms: Sequence[GradedArm],
    scorer: QuestionScorer | None,
    max_n: int,
    resampling: Resampling,
) -> Section | None:
    """All figures of one kind of problems; None if no problem has samples of every policy."""
    fewest = {
        problem.id: min(len(arm.by_problem[problem.id]) for arm in arms) for problem in problems
    }
    counts = [count for count in fewest.values() if count]
    if not counts:
        return None
    sizes = curve_sizes(counts, max_n)
    kept = [problem for problem in problems if fewest[problem.id] >= max(sizes)]
    left_out: Counter[str] = Counter()
    left_out["problem: without a graded sample of every policy"] = len(problems) - len(counts)
    left_out[f"problem: fewer than {max(sizes)} graded samples"] = len(counts) - len(kept)
    samples = {arm.arm.name: [arm.by_problem[problem.id] for problem in kept] for arm in arms}
    candidates = {
        name: [
            Candidates(question_of(problem, own)) for problem, own in zip(kept, each, strict=True)
        ]
        for name, each in samples.items()
    }
    candidates = with_votes(kind, arms, samples, candidates, left_out)
    if scorer:
        candidates = {
            name: choosing.with_scores(each, scorer, left_out, f"{name}: scoring")
            for name, each in candidates.items()
        }
    cut = {
        name: sum(one.sample.finish_reason == "length" for own in each for one in own)
        for name, each in samples.items()
    }
    number = {name: sum(map(len, each)) for name, each in samples.items()}
    return Section(
        kind=kind,
        problems=len(kept),
        samples=number,
        cut={name: cut[name] / number[name] for name in samples},
        comparisons=[
            pass_rates(kind, candidates, sizes, resampling),
            *choosing.comparisons(candidates, sizes, resampling),
        ],
        ranking=choosing.ranking(candidates, resampling),
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def with_votes(
    kind: SolutionKind,
    arms: Sequence[GradedArm],
    samples: Mapping[str, Sequence[Sequence[GradedSample]]],
    candidates: Mapping[str, list[Candidates]],
    counts: Counter[str],
) -> dict[str, list[Candidates]]:
    """Candidates of every policy with their classes of equal answers or outputs."""
    if kind == "answers":
        with MathJudge() as judge:
            voted = {name: with_answer_votes(each, judge) for name, each in candidates.items()}
        counts.update(judge.counts)
        return voted
    own = {arm.arm.name: arm.runs for arm in arms}
    return {
        name: with_program_votes(each, samples[name], own[name]) if own[name] else each
        for name, each in candidates.items()
    }


def question_of(problem: Problem, samples: Sequence[GradedSample]) -> Question:
    """A problem with samples as answers, in the form in which a reward model scores them."""
    return Question(
        id=problem.id,
        group=problem.group,
        # As the policy was asked, which is how pairs of its answers are trained on.
        prompt=samples[0].sample.prompt,
        answers=tuple(each.sample.text for each in samples),
        correct=tuple(each.correct for each in samples),
    )


def with_answer_votes(candidates: Sequence[Candidates], judge: MathJudge) -> list[Candidates]:
    """Candidates with their classes of equal final answers."""
    texts = [[str(answer) for answer in each.question.answers] for each in candidates]
    return [
        replace(each, classes=classes)
        for each, classes in zip(candidates, agreeing(texts, judge), strict=True)
    ]


def with_program_votes(
    candidates: Sequence[Candidates],
    samples: Sequence[Sequence[GradedSample]],
    runs: Sequence[ProgramRuns],
) -> list[Candidates]:
    """Candidates with their classes of equal outputs on all test inputs.

    A program that ends well on none of them has no vote. That is MBR-exec of Shi et al. 2022 (arXiv
    2204.11454) with a loss of 0 or 1 over all inputs.
    """
    outputs = {each.sample: tuple(one.output for one in each.outcomes) for each in runs}
    voted = []
    for each, own in zip(candidates, samples, strict=True):
        keys = [outputs.get(graded.sample.id, ()) for graded in own]
        numbers: dict[tuple[str | None, ...], int] = {}
        for key in keys:
            if any(output is not None for output in key):
                numbers.setdefault(key, len(numbers))
        voted.append(replace(each, classes=tuple(numbers.get(key, NO_ANSWER) for key in keys)))
    return voted


def pass_rates(
    kind: SolutionKind,
    candidates: Mapping[str, Sequence[Candidates]],
    sizes: Sequence[int],
    resampling: Resampling,
) -> ArmComparison:
    """pass@k of programs, or the accuracy of answers, which is pass@1."""
    groups = [each.question.group for each in next(iter(candidates.values()))]
    rows = {}
    for k in sizes if kind == "programs" else [1]:
        values = {
            name: [pass_at_k(len(c.question.correct), sum(c.question.correct), k) for c in each]
            for name, each in candidates.items()
        }
        rows[str(k)] = compare(groups, values, resampling)
    if kind == "programs":
        what = (
            "probability that one of k samples passes every given test: the unbiased estimate from "
            "all samples of a problem, and its mean over problems"
        )
        return ArmComparison("pass@k", what, rows)
    return ArmComparison("accuracy", "share of samples with the right final answer", rows)
