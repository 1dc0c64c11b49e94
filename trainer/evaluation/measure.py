"""A task's questions and a scorer -> the task's tables."""

from collections import Counter
from dataclasses import dataclass

from trainer.evaluation.benchmarks import process_bench, reward_bench, reward_bench_2
from trainer.evaluation.load import Loaded
from trainer.evaluation.measures import candidates, choice, confidence, length_bias, pairwise
from trainer.evaluation.measures.answers import Judge, TextJudge, agreeing
from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.measures.judged import Need, ScoredQuestion, judge
from trainer.evaluation.measures.math_judge import MathJudge
from trainer.evaluation.measures.table import Table
from trainer.evaluation.question import text_of
from trainer.evaluation.reporting.report import TaskReport
from trainer.evaluation.scorers.scorer import QuestionScorer
from trainer.evaluation.tasks import (
    CandidatesTask,
    ChoiceTask,
    PairsTask,
    ProcessBenchTask,
    RewardBench2Task,
    RewardBenchTask,
    Task,
)
from trainer.pipeline.stage import StageError

_WHAT = {
    "pairs": "pairs that no training stage has seen",
    "candidates": "choosing among sampled solutions, each labelled right or wrong",
    "choice": "choosing among the options of a question",
    "reward_bench": "RewardBench: chosen over rejected answers, in four sections",
    "reward_bench_2": "RewardBench 2: the one good answer among four, in six subsets",
    "process_bench": "ProcessBench: the first wrong step of a solution",
}


@dataclass(frozen=True)
class Measuring:
    """What all tasks are measured with; `temperature` divides margins before the sigmoid."""

    how: Resampling
    temperature: float


def measure(loaded: Loaded, scorer: QuestionScorer, by: Measuring) -> TaskReport:
    """Score a task's questions and measure.

    Raises:
        StageError: none of them could be scored.
    """
    task, counts = loaded.task, loaded.counts
    judged = judge(loaded.questions, scorer, _need(task), counts, desc=task.name)
    if not judged:
        raise StageError(f"{task.name}: no question could be scored: {dict(counts)}")
    return TaskReport(
        name=task.name,
        kind=task.kind,
        what=_WHAT[task.kind],
        questions=len(judged),
        groups=sorted({item.question.group for item in judged}),
        tables=[table.measured() for table in _tables(loaded, judged, by)],
        left_out={reason: count for reason, count in counts.items() if count},
    )


def _need(task: Task) -> Need:
    match task:
        case PairsTask():
            return "both"
        case CandidatesTask():
            return "one"
    return "all"


def _tables(loaded: Loaded, judged: list[ScoredQuestion], by: Measuring) -> list[Table]:
    match loaded.task:
        case PairsTask():
            return _pairs(judged, by)
        case CandidatesTask() as task:
            return _candidates(task, judged, loaded.counts, by)
        case ChoiceTask():
            return [choice.by_source(judged, by.how)]
        case RewardBenchTask():
            return reward_bench.tables(judged, by.how)
        case RewardBench2Task():
            return reward_bench_2.tables(judged, by.how)
        case ProcessBenchTask() as task:
            return process_bench.tables(judged, loaded.labels, task.tune_on, by.how)


def _pairs(judged: list[ScoredQuestion], by: Measuring) -> list[Table]:
    sources = {item.question.source for item in judged}
    margins = confidence.margins(judged)
    return [
        pairwise.by_kind(judged, by.how),
        *([pairwise.by_source(judged, by.how)] if len(sources) > 1 else []),
        *_length_bias(judged, by.how),
        confidence.error_table(margins, by.temperature, by.how),
        confidence.reliability(margins, by.temperature, by.how),
    ]


def _candidates(
    task: CandidatesTask, judged: list[ScoredQuestion], counts: Counter[str], by: Measuring
) -> list[Table]:
    classes = _classes(task, judged, counts)
    curves = candidates.curves(judged, classes, task.largest, by.how, counts)
    mixed = [item for item in judged if len(set(item.question.correct)) > 1]
    if not mixed:
        return [curves]
    sources = pairwise.by_source(mixed, by.how)
    return [curves, sources, *_length_bias(mixed, by.how)]


def _length_bias(judged: list[ScoredQuestion], how: Resampling) -> list[Table]:
    accuracy = length_bias.accuracy_table(judged, how)
    return [*([accuracy] if accuracy.rows else []), length_bias.correlation_table(judged, how)]


def _classes(
    task: CandidatesTask, judged: list[ScoredQuestion], counts: Counter[str]
) -> list[tuple[int, ...]] | None:
    texts = [[text_of(answer) for answer in item.question.answers] for item in judged]
    if task.answers == "none":
        return None
    if task.answers == "text":
        text_judge: Judge = TextJudge()
        return agreeing(texts, text_judge)
    with MathJudge() as math_judge:
        classes = agreeing(texts, math_judge)
    counts.update(math_judge.counts)
    return classes
