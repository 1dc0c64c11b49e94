"""The hyper-parameters that all training runs share, by the names that Hugging Face uses."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Literal

from trainer.pairs.criteria import NamedCriterion, require_distinct
from trainer.pipeline.stage import StageError, bookkeeping
from trainer.training.objective.losses import LossWeights


@dataclass(frozen=True)
class Branch:
    """Checkpoint to branch from. The source run must have `branch_points=True`.

    Attributes:
        stage: the stage that wrote the checkpoint.
        step: the optimizer step of the checkpoint.
    """

    stage: str
    step: int


@dataclass(frozen=True)
class LoraAdapters:
    """Low-rank adapters (arXiv 2106.09685), merged into the weights after training.

    `r`, `lora_alpha`, `lora_dropout` and `target_modules` are those of `peft.LoraConfig`.

    Attributes:
        target_modules: names of the layers that get adapters, or "all-linear". The score head is
            always trained whole.
        modules_to_save: names of other layers that are trained whole, such as `embed_tokens` where
            the vocabulary was extended.
        load_in_4bit: keep the frozen layers in 4 bits during training (QLoRA, arXiv 2305.14314).
            The adapters are merged into the start's own weights, which are not quantized.
    """

    r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"
    modules_to_save: tuple[str, ...] = ()
    load_in_4bit: bool = False


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """One training run, of a reward model or of a policy.

    A field that `transformers.TrainingArguments` has as well means the same here, except that 0
    switches `save_steps` and `eval_steps` off. As there, a number below 1 is a share of all steps.
    Fields that are `bookkeeping` change no weight.

    Attributes:
        start: stage whose checkpoint the run starts from, or a directory or hub id of a causal
            language model; a reward model may start from a sequence classifier as well.
        prompts_per_step: prompts in one optimizer step, over all processes; each prompt comes with
            its chosen answer and all its rejected answers.
        learning_rate: peak of the schedule.
        end_token: token that ends a text, where the tokenizer's EOS token is another one. It must
            be in the vocabulary, as <|im_end|> is in Qwen2's.
        max_steps: optimizer steps; None derives them from `num_train_epochs`.
        num_train_epochs: passes over the rows, used when `max_steps` is None. With one process no
            row comes twice in a pass; several processes fill the last step with rows from its
            beginning.
        gradient_accumulation_steps: micro-batches into which each process divides its part of a
            step. The loss and the gradients stay the same, and the memory shrinks.
        lr_scheduler_type: warm-up, stable, decay (arXiv 2410.02229, section 3), or warm-up and
            cosine.
        warmup_ratio: share of the steps in which the learning rate rises.
        decay_ratio: share of the steps in which it falls; a cosine has no use for it.
        optimizer: AdamW as in the paper, or Muon for the layers' matrices and AdamW for the rest.
        weight_decay: decay of matrices; beside Muon, of the matrices in the layers.
        max_grad_norm: norm to which gradients are clipped.
        max_length: tokens of a prompt with its answer; longer ones are left out and counted. None
            is the tokenizer's own limit.
        bf16: compute matrix products in bfloat16 (autocast). Sums, norms, a score head, and
            attention on a CPU stay in float32.
        gradient_checkpointing: recompute activations in the backward pass to save memory.
        lora: train adapters, and a reward model's score head, instead of all weights.
        save_steps: steps between checkpoints from which an interrupted run resumes, or their share
            of all steps; 0 for none.
        save_total_limit: how many of the newest checkpoints are kept.
        branch_points: also keep the checkpoints at warm-up * 1.1892^k steps of the stable phase,
            from which other runs may branch and decay.
        branch_from: continue another run, which must have the same config but for its schedule,
            from one of its branch points, and decay from there to `max_steps`.
        eval_steps: steps between evaluations on held-out pairs, which also follow the last step,
            or their share of all steps; 0 for none.
        max_eval_samples: held-out rows in each of these evaluations, drawn at random. If
            `eval_steps` is a share, they are no more than a twentieth of the rows that are trained
            on, but at least 32, so that a short run does not evaluate for longer than it trains.
        logging_steps: steps between lines of the log.
        report_to: TensorBoard files in `logs/` beside the stage, Weights & Biases, or neither. The
            manifest has the log in any case.
        seed: seed of the order of the rows, of adapters, and of a fresh score head.
    """

    start: str
    prompts_per_step: int
    learning_rate: float
    end_token: str | None = None
    max_steps: int | None = None
    num_train_epochs: float = 1.0
    gradient_accumulation_steps: int = 1
    lr_scheduler_type: Literal["warmup_stable_decay", "cosine"] = "warmup_stable_decay"
    warmup_ratio: float = 0.03
    decay_ratio: float = 0.3
    optimizer: Literal["muon", "adamw"] = "muon"
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0
    max_length: int | None = None
    bf16: bool = True
    gradient_checkpointing: bool = False
    lora: LoraAdapters | None = None
    save_steps: int | float = bookkeeping(0.1)
    save_total_limit: int = bookkeeping(2)
    branch_points: bool = False
    branch_from: Branch | None = None
    eval_steps: int | float = bookkeeping(0.2)
    max_eval_samples: int = bookkeeping(500)
    logging_steps: int = bookkeeping(10)
    report_to: Literal["tensorboard", "wandb", "none"] = bookkeeping("tensorboard")
    seed: int = 1

    def __post_init__(self) -> None:
        """Raise StageError for numbers with which no run could end, before any stage runs."""
        numbers = vars(self) | ({"lora.r": self.lora.r} if self.lora else {})
        for name in _COUNTS:
            if (number := numbers.get(name)) is not None and number < 1:
                raise StageError(f"{name} is {number}: it must be 1 or more")
        for name in _SHARES:
            if not 0 <= numbers[name] <= 1:
                raise StageError(f"{name} is {numbers[name]}: it must be from 0 to 1")
        for name in _AMOUNTS:
            if not (math.isfinite(numbers[name]) and numbers[name] >= 0):
                raise StageError(f"{name} is {numbers[name]}: it must be 0 or more")
        if not self.num_train_epochs > 0:
            raise StageError(f"num_train_epochs is {self.num_train_epochs}: it must be above 0")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(LoopConfig):
    """One training run of a reward model over preference rows.

    Attributes:
        weights: weights of the terms of the loss.
        chat_template: Jinja of the template to train and to serve with, where the start's tokenizer
            has none or another one; None takes the tokenizer's own.
        criteria: what rows with an aspect are judged by, each with its prompt; those that the start
            was trained with, and standard ones that rows name, need not be given.
    """

    weights: LossWeights = field(default_factory=LossWeights)
    chat_template: str | None = None
    criteria: tuple[NamedCriterion, ...] = ()

    def __post_init__(self) -> None:
        """Raise StageError for what no run can have, before any stage runs."""
        super().__post_init__()
        require_distinct(self.criteria)


_COUNTS = (
    *("prompts_per_step", "max_steps", "gradient_accumulation_steps", "max_length"),
    *("max_eval_samples", "logging_steps", "lora.r"),
)
_SHARES = ("warmup_ratio", "decay_ratio")
_AMOUNTS = (
    *("learning_rate", "weight_decay", "max_grad_norm", "num_train_epochs"),
    *("save_steps", "eval_steps"),
)

BOOKKEEPING = frozenset(
    each.name for each in dataclasses.fields(LoopConfig) if each.metadata.get("bookkeeping")
)
"""Fields in which a resumed run may differ from the one that was interrupted."""
