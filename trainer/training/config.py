"""What all training runs have in common, as data."""

from dataclasses import dataclass, field
from typing import Literal

from trainer.training.objective.loss import LossWeights


@dataclass(frozen=True)
class Branch:
    """Where a run leaves another one that kept its branch points: its stage, and at which step."""

    stage: str
    step: int


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (arXiv 2106.09685) on all linear layers, merged into them at the end.

    Attributes:
        quantised: the layers beneath are 4 bits wide while training (QLoRA, arXiv 2305.14314);
            what is merged into at the end is the start's own weights.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    quantised: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run over training pairs.

    Attributes:
        start: stage whose checkpoint it starts from, or a directory or hub id of a causal language
            model or of a sequence classifier.
        end_token: what ends a text, where the start's tokenizer says that its pad does; one of its
            vocabulary, as <|im_end|> is for Qwen2.
        steps: optimiser steps; None follows from `epochs`.
        epochs: passes over the rows, when `steps` is None. In a pass of one process no row comes
            twice; several fill its last step with rows from its beginning.
        prompts_per_step: each with its chosen and all its rejected answers; over all processes.
        accumulate: micro-batches into which a process divides its part of a step. The step is the
            same, the memory less.
        learning_rate: peak of the schedule.
        schedule: warm-up, stable, decay (arXiv 2410.02229, section 3), or warm-up and cosine.
        warmup, decay: shares of the steps; a cosine has no `decay` of its own.
        optimiser: AdamW as in the paper, or Muon for the layers' matrices beside it.
        weight_decay: of matrices; beside Muon, of those in the layers.
        most_gradient: norm to which gradients are clipped.
        most_tokens: longer answers are left out and counted; None is the tokenizer's own limit.
        bf16: autocast matrix products; sums, norms, attention on CPU and the head stay float32.
        recompute: activations are computed again going backward, not kept (gradient checkpointing).
        lora: train adapters and the head instead of all weights.
        save_every: steps between checkpoints to resume from after a kill; 0 for none.
        keep: so many of them, the newest.
        branch_points: also keep, and leave behind, the checkpoints at warm-up * 1.1892^k steps of
            the stable phase, from which other runs may branch and decay.
        branch_from: take up another run, otherwise the same, where it was at a branch point, and
            decay from there to `steps`.
        evaluate_every: steps between evaluations on the held-out pairs, also after the last step; 0
            for none.
        most_evaluated: held-out rows that these look at, drawn at random.
        log_every: steps between lines of the log.
        log_to: TensorBoard files in `logs/` beside the stage, Weights & Biases, or the manifest
            alone, which has the log in any case.
        seed: of the order of the rows, and of a fresh head.
    """

    start: str
    prompts_per_step: int
    learning_rate: float
    end_token: str | None = None
    steps: int | None = None
    epochs: float = 1.0
    accumulate: int = 1
    weights: LossWeights = field(default_factory=LossWeights)
    schedule: Literal["wsd", "cosine"] = "wsd"
    warmup: float = 0.03
    decay: float = 0.3
    optimiser: Literal["muon", "adamw"] = "muon"
    weight_decay: float = 0.1
    most_gradient: float = 1.0
    most_tokens: int | None = None
    bf16: bool = True
    recompute: bool = False
    lora: Lora | None = None
    save_every: int = 0
    keep: int = 2
    branch_points: bool = False
    branch_from: Branch | None = None
    evaluate_every: int = 0
    most_evaluated: int = 500
    log_every: int = 20
    log_to: Literal["tensorboard", "wandb", "manifest"] = "tensorboard"
    seed: int = 1
