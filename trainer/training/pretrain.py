"""Preference-model pretraining, and the language-model warm-up that a from-scratch base needs.

Both are this one stage: a warm-up has no rejected answers and no ranking loss.
"""

from dataclasses import dataclass
from pathlib import Path

from trainer.pairs.row import read_pairs
from trainer.training.config import TrainConfig
from trainer.training.objective.loss import LossWeights
from trainer.training.run import Data, train


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainConfig):
    """One run over synthesised pairs.

    Attributes:
        pairs: stage whose training pairs it reads; its evaluation pairs are those held out.
        with_rejected: whether rejected answers come along.
        lm_on_prompt: whether the language-model loss covers prompts too.
    """

    pairs: str = "pairs"
    with_rejected: bool = True
    lm_on_prompt: bool = False


def warm_up(
    start: str, max_steps: int, prompts_per_step: int, learning_rate: float
) -> PretrainConfig:
    """Plain language modelling of requests and their real answers."""
    return PretrainConfig(
        start=start,
        max_steps=max_steps,
        prompts_per_step=prompts_per_step,
        learning_rate=learning_rate,
        weights=LossWeights(rank=0.0, lm=1.0),
        with_rejected=False,
        lm_on_prompt=True,
    )


def run(config: PretrainConfig, inputs: Path, output: Path) -> None:
    """Read pairs and the checkpoint of `config.start`; write a checkpoint and its log."""
    folder = inputs / config.pairs
    data = Data(
        rows=read_pairs(folder, "train"),
        held_out=read_pairs(folder, "evaluation") if config.eval_steps else [],
        stages=[folder],
        with_rejected=config.with_rejected,
        lm_on_prompt=config.lm_on_prompt,
    )
    train(config, data, inputs, output)
