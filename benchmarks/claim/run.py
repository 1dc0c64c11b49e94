"""One run of the claim's study: finetune a checkpoint on some pairs of a task, and test it."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.claim.tasks import Task, draw
from trainer.evaluation.measures.best_of_n import top
from trainer.evaluation.measures.pairwise import outcomes
from trainer.evaluation.measures.scored import CONTENDERS, ScoredQuestion, score_questions
from trainer.evaluation.question import question_of
from trainer.evaluation.scorers.network import NetworkScorer
from trainer.pairs.row import PreferenceRow, write_pairs
from trainer.pipeline.stage import writing_stage
from trainer.training import pretrain
from trainer.training.objective.losses import LossWeights
from trainer.training.pretrain import PretrainConfig

EPOCHS = 1
LEARNING_RATE = 5e-4
_ROWS_PER_STEP = 8
_FEWEST_STEPS = 30


@dataclass(frozen=True)
class Run:
    """The result of a run on the task's test rows.

    Attributes:
        arm: the checkpoint that was finetuned.
        pairs: asked for; the task may have fewer.
        accuracy: share of pairs ranked right, ties half.
        first: share of rows whose right answer alone scores best; a tie at the top is shared.
    """

    task: str
    arm: str
    pairs: int
    seed: int
    accuracy: float
    first: float


@dataclass(frozen=True)
class _Drawn:
    """For the manifest of the drawn pairs."""

    task: str
    pairs: int
    seed: int


def run(work: Path, arm: str, task: Task, pairs: int, seed: int) -> Run:
    """Finetune `work/arm`, a finished training stage, on `pairs` pairs; no pair means as it is."""
    with _tuned(work, arm, task, pairs, seed) as checkpoint:
        left_out: Counter[str] = Counter()
        questions = [question_of(row) for row in task.test]
        scorer = NetworkScorer(checkpoint)
        judged = score_questions(questions, scorer, "both", left_out, desc=f"{task.name} test")
    assert not left_out, f"test rows must fit into the model: {left_out}"
    return Run(task.name, arm, pairs, seed, _accuracy(judged), _first(judged))


@contextmanager
def _tuned(work: Path, arm: str, task: Task, pairs: int, seed: int) -> Iterator[Path]:
    if not pairs:
        yield work / arm
        return
    with TemporaryDirectory(dir=work) as scratch:
        folder = Path(scratch)
        (folder / arm).symlink_to((work / arm).absolute())
        rows = draw(task, pairs, seed)
        drawn = _Drawn(task.name, pairs, seed)
        with writing_stage(drawn, folder / "pairs") as draft:
            write_pairs(draft.path, "train", rows, len(rows))
        pretrain.run(_config(arm, rows, seed), folder, folder / "tuned")
        yield folder / "tuned"


def _config(arm: str, rows: list[PreferenceRow], seed: int) -> PretrainConfig:
    """Ranking loss alone and no weight decay, as the paper finetunes; alike for every arm."""
    return PretrainConfig(
        start=arm,
        max_steps=max(_FEWEST_STEPS, math.ceil(EPOCHS * len(rows) / _ROWS_PER_STEP)),
        prompts_per_step=min(_ROWS_PER_STEP, len(rows)),
        learning_rate=LEARNING_RATE,
        weights=LossWeights(rank=1.0, lm=0.0),
        warmup_ratio=0.1,
        decay_ratio=0.5,
        weight_decay=0.0,
        report_to="none",
        seed=seed,
    )


def _accuracy(judged: list[ScoredQuestion]) -> float:
    found = outcomes(judged, CONTENDERS["model"])
    return sum(outcome.credit for outcome in found) / sum(outcome.pairs for outcome in found)


def _first(judged: list[ScoredQuestion]) -> float:
    return sum(top(item.scores, item.question.correct) for item in judged) / len(judged)
