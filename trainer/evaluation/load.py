"""A task -> its questions, read and checked before anything is scored."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from reward_model.release.release import sha256
from trainer.evaluation.benchmarks import process_bench, reward_bench, reward_bench_2
from trainer.evaluation.measures.candidates import by_family
from trainer.evaluation.question import Question, question_of
from trainer.evaluation.records import files_of
from trainer.evaluation.sources import read_candidates, read_choices
from trainer.evaluation.tasks import (
    CandidatesTask,
    ChoiceTask,
    PairsTask,
    ProcessBenchTask,
    RewardBench2Task,
    RewardBenchTask,
    Task,
)
from trainer.pairs.row import read_pairs
from trainer.pipeline.stage import StageError


@dataclass
class Loaded:
    """A task with its questions.

    Attributes:
        labels: of ProcessBench.
        counts: what was left out so far, by reason.
        files: what was read, by its SHA-256.
    """

    task: Task
    questions: list[Question] = field(default_factory=list)
    labels: process_bench.Labels = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)


def load(task: Task, inputs: Path, seed: int) -> Loaded:
    """Raises StageError when there is nothing to evaluate on."""
    loaded = Loaded(task)
    if isinstance(task, PairsTask):
        rows = read_pairs(inputs / task.stage, task.split)
        loaded.questions = [question_of(row) for row in rows]
    else:
        for file in files_of(inputs, task.files):
            loaded.questions += _read(task, file, loaded)
            loaded.files[file.name] = sha256(file)
    if not loaded.questions:
        raise StageError(f"{task.name}: {_nothing(task)}")
    _sample(loaded, seed)
    return loaded


def _read(task: Task, file: Path, loaded: Loaded) -> list[Question]:
    match task:
        case CandidatesTask(within_family=True):
            return by_family(read_candidates(file))
        case CandidatesTask():
            return read_candidates(file)
        case ChoiceTask():
            return read_choices(file)
        case RewardBenchTask():
            return reward_bench.read_questions(file)
        case RewardBench2Task():
            return reward_bench_2.read_questions(file)
        case ProcessBenchTask():
            questions, labels = process_bench.read_questions(file, loaded.counts)
            loaded.labels |= labels
            return questions
    raise AssertionError(f"{task.kind} has no files")


def _sample(loaded: Loaded, seed: int) -> None:
    """The same questions for the same seed, in the order of their files."""
    most = getattr(loaded.task, "most", None)
    if most is None or len(loaded.questions) <= most:
        return
    kept = sorted(Random(seed).sample(range(len(loaded.questions)), most))
    loaded.counts["not in the sample"] += len(loaded.questions) - most
    loaded.questions = [loaded.questions[index] for index in kept]


def _nothing(task: Task) -> str:
    if isinstance(task, PairsTask):
        return f"the {task.split} split is empty: raise {task.split}_share, or add groups"
    return "its files hold no rows"
