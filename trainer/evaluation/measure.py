"""Score a task's questions and compute its tables."""

from collections import Counter

from trainer.evaluation import tasks
from trainer.evaluation.benchmarks import (
    code_reward_bench,
    process_bench,
    reward_bench,
    reward_bench_2,
)
from trainer.evaluation.load import LoadedTask
from trainer.evaluation.measures import (
    auc,
    calibration_error,
    candidates,
    choice,
    hits,
    length_bias,
    pairwise,
    rank_correlation,
    variance,
)
from trainer.evaluation.measures.answers import TextJudge, agreeing
from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.measures.math_judge import MathJudge
from trainer.evaluation.measures.scored import Need, ScoredQuestion, score_questions
from trainer.evaluation.measures.table import Table
from trainer.evaluation.question import text_of
from trainer.evaluation.reporting.report import TaskReport
from trainer.evaluation.scorers.scorer import QuestionScorer
from trainer.pipeline.stage import StageError

# The sentence under a task's name in the report, by the task's kind.
DESCRIPTIONS = {
    "pairs": "pairs that no training stage has seen",
    "candidates": "choosing among sampled solutions, each labelled right or wrong",
    "choice": "choosing among the options of a question",
    "reward_bench": "RewardBench: chosen over rejected answers, in four sections",
    "reward_bench_2": "RewardBench 2: the one good answer among four, in six subsets",
    "code_reward_bench": "CodeRewardBench: the better of two programs, in five aspects",
    "process_bench": "ProcessBench: the first wrong step of a solution",
}


def measure(
    loaded: LoadedTask, scorer: QuestionScorer, resampling: Resampling, temperature: float
) -> TaskReport:
    """Score a task's questions and compute its tables.

    Args:
        temperature: divides margins of pairs before the sigmoid that calibration is measured of.

    Raises:
        StageError: none of the questions could be scored.
    """
    task, counts = loaded.task, loaded.counts
    # A benchmark's question counts whole or not at all. Pairs and candidates of which some are too
    # long for the model still compare the others.
    need: Need = "all"
    if isinstance(task, tasks.PairsTask):
        need = "both"
    elif isinstance(task, tasks.CandidatesTask):
        need = "one"
    scored = score_questions(loaded.questions, scorer, need, counts, desc=task.name)
    if not scored:
        raise StageError(f"{task.name}: no question could be scored: {dict(counts)}")
    match task:
        case tasks.PairsTask():
            tables = pair_tables(scored, resampling)
        case tasks.CandidatesTask():
            tables = candidate_tables(task, scored, counts, resampling)
        case tasks.ChoiceTask():
            tables = [choice.accuracy_by_source(scored, resampling)]
        case tasks.RewardBenchTask():
            tables = reward_bench.tables(scored, resampling)
        case tasks.RewardBench2Task():
            tables = reward_bench_2.tables(scored, resampling)
        case tasks.CodeRewardBenchTask():
            tables = code_reward_bench.tables(scored, resampling)
        case tasks.ProcessBenchTask():
            # Its labels are of steps, and it has one answer to a question.
            tables = process_bench.tables(scored, loaded.labels, task.tune_on, resampling)
    if not isinstance(task, tasks.ProcessBenchTask):
        tables += score_tables(scored, resampling, temperature)
    return TaskReport(
        name=task.name,
        kind=task.kind,
        what=DESCRIPTIONS[task.kind],
        questions=len(scored),
        groups=sorted({item.question.group for item in scored}),
        tables=[table for table in (each.measured() for each in tables) if table.rows],
        left_out={reason: count for reason, count in counts.items() if count},
    )


def score_tables(
    scored: list[ScoredQuestion], resampling: Resampling, temperature: float
) -> list[Table]:
    """AUC, variance and calibration of the scores themselves, which accuracy does not show."""
    tables = [auc.table(scored, resampling), variance.table(scored, resampling)]
    margins = calibration_error.margins(scored)
    if not margins.values.size:
        return tables
    return [
        *tables,
        calibration_error.error_table(margins, temperature, resampling),
        calibration_error.reliability(margins, temperature, resampling),
    ]


def pair_tables(scored: list[ScoredQuestion], resampling: Resampling) -> list[Table]:
    """Pairwise accuracy and length bias of held-out pairs."""
    tables = [pairwise.by_kind(scored, resampling)]
    if len({item.question.source for item in scored}) > 1:
        tables.append(pairwise.by_source(scored, resampling))
    if any(item.question.aspect for item in scored):
        tables.append(pairwise.by_aspect(scored, resampling))
    return tables + length_tables(scored, resampling)


def candidate_tables(
    task: tasks.CandidatesTask,
    scored: list[ScoredQuestion],
    counts: Counter[str],
    resampling: Resampling,
) -> list[Table]:
    """The best-of-N curve, hits at K, and pairwise accuracy of the questions that have pairs."""
    texts = [[text_of(answer) for answer in item.question.answers] for item in scored]
    classes: list[tuple[int, ...]] | None = None
    if task.answers == "text":
        classes = agreeing(texts, TextJudge())
    elif task.answers == "math":
        with MathJudge() as judge:
            classes = agreeing(texts, judge)
        counts.update(judge.counts)
    tables = [candidates.curves(scored, classes, task.max_n, resampling, counts)]
    tables.append(hits.table(scored, resampling))
    if correlations := rank_correlation.table(scored, resampling, counts):
        tables.append(correlations)
    # Sets that are all right or all wrong hold no pair.
    mixed = [item for item in scored if len(set(item.question.correct)) > 1]
    if mixed:
        tables.append(pairwise.by_source(mixed, resampling))
        tables += length_tables(mixed, resampling)
    return tables


def length_tables(scored: list[ScoredQuestion], resampling: Resampling) -> list[Table]:
    """Length bias; accuracy by length is left out if all pairs are of equal length."""
    accuracy = length_bias.accuracy_table(scored, resampling)
    correlation = length_bias.correlation_table(scored, resampling)
    return [accuracy, correlation] if accuracy.rows else [correlation]
