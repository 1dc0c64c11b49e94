"""Preference-model pretraining, and the language-model warm-up that a from-scratch base needs.

Both are this one stage: a warm-up has no rejected answers and no ranking loss.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainingArguments,
)

from reward_model.attention import IMPLEMENTATION
from reward_model.encoding import Encoder
from trainer.pairs.row import read_pairs
from trainer.stage import StageError, writing_stage
from trainer.training.batches import Collator
from trainer.training.loop import PackedTrainer
from trainer.training.loss import LossWeights


@dataclass(frozen=True)
class PretrainConfig:
    """One run over the training pairs.

    Attributes:
        start: stage whose checkpoint it starts from.
        pairs: stage whose pairs it reads.
        steps: optimiser steps; rows are drawn without repetition until all have been seen.
        prompts_per_step: each with its chosen and all its rejected answers.
        learning_rate: peak of a warm-up, stable, decay schedule (arXiv 2410.02229, section 3).
        warmup, decay: shares of the steps.
        bf16: autocast matrix products; sums, norms, attention on CPU and the head stay float32.
    """

    start: str
    steps: int
    prompts_per_step: int
    learning_rate: float
    weights: LossWeights = field(default_factory=LossWeights)
    with_rejected: bool = True
    lm_on_prompt: bool = False
    warmup: float = 0.03
    decay: float = 0.3
    weight_decay: float = 0.1
    bf16: bool = True
    seed: int = 1
    pairs: str = "pairs"


def warm_up(start: str, steps: int, prompts_per_step: int, learning_rate: float) -> PretrainConfig:
    """Plain language modelling of requests and their real answers."""
    return PretrainConfig(
        start=start,
        steps=steps,
        prompts_per_step=prompts_per_step,
        learning_rate=learning_rate,
        weights=LossWeights(rank=0.0, lm=1.0),
        with_rejected=False,
        lm_on_prompt=True,
    )


def run(config: PretrainConfig, inputs: Path, output: Path) -> None:
    """Read pairs and the checkpoint of `config.start`; write a checkpoint and its log."""
    rows = read_pairs(inputs / config.pairs, "train")
    model, tokenizer = load_checkpoint(inputs / config.start)
    encoder = Encoder(tokenizer, max_tokens=tokenizer.model_max_length, pad_id=None)
    collator = Collator(encoder, config.with_rejected, config.lm_on_prompt)
    with (
        writing_stage(
            config, output, reads=[inputs / config.pairs, inputs / config.start]
        ) as draft,
        TemporaryDirectory() as unused,
    ):
        trainer = PackedTrainer(
            model=model,
            args=_arguments(config, unused),
            train_dataset=rows,
            data_collator=collator,
            weights=config.weights,
            autocast=config.bf16,
        )
        trainer.train()
        save_rounded(model, draft.path)
        tokenizer.save_pretrained(draft.path)
        draft.facts["left_out"] = dict(collator.counts)
        draft.facts["log"] = trainer.state.log_history


def load_checkpoint(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model that attends over packed trees, in float32, and its tokenizer.

    Raises:
        StageError: the checkpoint could be trained, and served wrongly or not at all.
    """
    model = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True)
    model.set_attn_implementation(IMPLEMENTATION)
    assert isinstance(model, PreTrainedModel)
    assert isinstance(model.score, nn.Linear)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token in (None, tokenizer.eos_token):
        raise StageError(
            f"{folder}: its tokenizer pads with {tokenizer.pad_token!r}, which loaders take for "
            "the end of a text: give it a pad token of its own"
        )
    if not model.config.tie_word_embeddings:
        raise StageError(
            f"{folder}: its output embedding is apart from the input's (tie_word_embeddings is "
            "false), and a sequence-classification checkpoint holds no such output"
        )
    return model.float(), tokenizer


def save_rounded(model: PreTrainedModel, folder: Path) -> None:
    """Store weights in bfloat16, half the size, with a config that loads them as float32.

    Every later stage reads this file, so what is calibrated, evaluated and published is what is
    served; only the head, whose rounding would tie close candidates, keeps its float32.
    """
    model.base_model.to(torch.bfloat16)
    model.save_pretrained(folder)
    file = folder / "config.json"
    file.write_text(
        json.dumps(json.loads(file.read_text()) | {"dtype": "float32"}, indent=2) + "\n"
    )


def _arguments(config: PretrainConfig, checkpoints: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=checkpoints,
        max_steps=config.steps,
        per_device_train_batch_size=config.prompts_per_step,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        max_grad_norm=1.0,
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={"num_decay_steps": int(config.steps * config.decay)},
        warmup_steps=int(config.steps * config.warmup),
        logging_steps=20,
        save_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        seed=config.seed,
        data_seed=config.seed,
    )
