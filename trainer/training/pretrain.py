"""Preference-model pretraining, and the language-model warm-up that a from-scratch base needs.

Both are this one stage: a warm-up has no rejected answers and no ranking loss.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from trainer.pairs.row import read_pairs
from trainer.training.config import TrainConfig
from trainer.training.objective.losses import LossWeights
from trainer.training.run import TrainingData, train


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainConfig):
    """One run over synthesised pairs.

    Attributes:
        pairs: stage whose training pairs are read; its evaluation pairs are held out.
        with_rejected: whether rejected answers are trained on; a language-model warm-up has none.
        lm_on_prompt: whether the language-model loss covers prompts too.
    """

    pairs: str = "pairs"
    with_rejected: bool = True
    lm_on_prompt: bool = False


def warm_up(
    start: str, max_steps: int, prompts_per_step: int, learning_rate: float
) -> PretrainConfig:
    """A run of plain language modelling on requests and their real answers."""
    return PretrainConfig(
        start=start,
        max_steps=max_steps,
        prompts_per_step=prompts_per_step,
        learning_rate=learning_rate,
        weights=LossWeights(rank=0.0, lm=1.0),
        with_rejected=False,
        lm_on_prompt=True,
        eval_steps=0,  # held-out pairs are ranked, and this run learns no ranking
    )


def run(config: PretrainConfig, inputs: Path, output: Path) -> None:
    """Read pairs and the checkpoint of `config.start`; write a checkpoint and its log."""
    folder = inputs / config.pairs
    rows = read_pairs(folder, "train")
    # Without rejected answers there are no pairs, and no time is spent on encoding them.
    if not config.with_rejected:
        rows = [replace(row, rejected=()) for row in rows]
    data = TrainingData(
        rows=rows,
        held_out=read_pairs(folder, "evaluation") if config.eval_steps else [],
        stages=[folder],
        lm_on_prompt=config.lm_on_prompt,
    )
    train(config, data, inputs, output)
