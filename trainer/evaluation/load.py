"""Read a task's questions, before anything is scored."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from reward_model.release.release import sha256
from trainer.evaluation import tasks
from trainer.evaluation.benchmarks import (
    code_reward_bench,
    process_bench,
    reward_bench,
    reward_bench_2,
)
from trainer.evaluation.measures.candidates import split_by_family
from trainer.evaluation.question import Question, question_of
from trainer.evaluation.records import files_of
from trainer.evaluation.sources import read_candidates, read_choices
from trainer.pairs.row import read_pairs
from trainer.pipeline.shards import require_rows
from trainer.pipeline.stage import StageError

# What a stage that labels samples calls its file of candidates.
STAGE_FILE = "candidates.jsonl"


@dataclass
class LoadedTask:
    """A task with its questions.

    Attributes:
        labels: ProcessBench's labels; empty for other tasks.
        counts: how much was left out so far, by reason.
        files: SHA-256 of every file that was read, by its name.
    """

    task: tasks.Task
    questions: list[Question] = field(default_factory=list)
    labels: process_bench.Labels = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)


def load(task: tasks.Task, inputs: Path, seed: int) -> LoadedTask:
    """Read a task's questions, or a sample of them.

    Raises:
        StageError: a file cannot be read, or there is nothing to evaluate on.
    """
    loaded = LoadedTask(task)
    if isinstance(task, tasks.PairsTask):
        require_rows(inputs / task.stage, task.split)
        rows = read_pairs(inputs / task.stage, task.split)
        loaded.questions = [question_of(row) for row in rows]
        return loaded
    files = files_of(inputs, task.files)
    if isinstance(task, tasks.CandidatesTask) and task.stage:
        files = files_of(inputs / task.stage, [STAGE_FILE])
    for file in files:
        questions = read_questions(task, file, loaded)
        loaded.questions += questions
        loaded.files[file.name] = sha256(file)
    if not loaded.questions:
        raise StageError(f"{task.name}: its files hold no rows")
    # The same rows often lie in several files: a benchmark as a whole, and by language.
    distinct = list(dict.fromkeys(loaded.questions))
    if again := len(loaded.questions) - len(distinct):
        loaded.counts["the same row again"] += again
        loaded.questions = distinct
    if task.max_questions is not None and len(loaded.questions) > task.max_questions:
        # The same seed samples the same questions; they keep the order of their files.
        kept = sorted(Random(seed).sample(range(len(loaded.questions)), task.max_questions))
        loaded.counts["not in the sample"] += len(loaded.questions) - len(kept)
        loaded.questions = [loaded.questions[index] for index in kept]
    return loaded


def read_questions(task: tasks.FileTask, file: Path, loaded: LoadedTask) -> list[Question]:
    """The questions of one of a task's files.

    Raises:
        StageError: the file cannot be read.
    """
    match task:
        case tasks.CandidatesTask():
            questions = read_candidates(file)
            return split_by_family(questions) if task.within_family else questions
        case tasks.ChoiceTask():
            return read_choices(file)
        case tasks.RewardBenchTask():
            return reward_bench.read_questions(file)
        case tasks.RewardBench2Task():
            return reward_bench_2.read_questions(file)
        case tasks.CodeRewardBenchTask():
            return code_reward_bench.read_questions(file, task.criteria)
        case tasks.ProcessBenchTask():
            # A label is an index of a step, for which a question has no field.
            questions, labels = process_bench.read_questions(file, loaded.counts)
            loaded.labels |= labels
            return questions
