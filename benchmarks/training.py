"""Measures the gain of prefix sharing in training: pairs/s beside TRL's RewardTrainer.

    python -m benchmarks.training --data DIR [--steps 4] [--repeats 3]

The same rows, the same random network, AdamW, no LM loss: the plain Bradley-Terry objective, whose
loss and gradients are the same to 1e-5 (tests/trainer/training/objective/test_trl.py). Arms take
turns.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    Trainer,
)
from transformers.utils import logging as transformers_logging

from benchmarks.harness.page import Cell, Page, add_output_options, verdict
from benchmarks.harness.stats import ratio
from benchmarks.harness.step_clock import time_arms
from benchmarks.inputs.checkpoint import add_checkpoint_options, make_checkpoint
from benchmarks.inputs.pairs import read_pairs
from reward_model.packing import new_tokens
from reward_model.text.encoding import Encoder
from trainer.pairs.encoded import encode_rows
from trainer.pairs.row import PreferenceRow, conversation
from trainer.training.finetune import FinetuneConfig
from trainer.training.loop.arguments import arguments
from trainer.training.loop.schedule import schedule_of
from trainer.training.loop.trainer import PackedTrainer
from trainer.training.objective.batches import Collator
from trainer.training.objective.joint import JointModel
from trainer.training.weights.start import load_start

_TARGET = 1.5
_RATE = 1e-5


@dataclass(frozen=True)
class Work:
    """Rows, so many of them a step, each with so many rejected answers."""

    name: str
    rows: list[PreferenceRow]
    rows_per_step: int
    rivals: int

    @property
    def pairs_per_step(self) -> int:
        return self.rows_per_step * self.rivals


Arm = Callable[[Work, Path, argparse.Namespace, Path], Trainer]


def packed(work: Work, model: Path, options: argparse.Namespace, folder: Path) -> Trainer:
    """Ours: rows are tokenised before it starts, and packed while it trains."""
    config = FinetuneConfig(
        start=str(model),
        max_steps=options.steps + 1,
        prompts_per_step=work.rows_per_step,
        learning_rate=_RATE,
        bf16=options.dtype == "bfloat16",
        report_to="none",
        save_steps=0,
        eval_steps=0,
    )
    start = load_start(model, seed=1, with_lm=False)
    encoder = Encoder(start.tokenizer, max_tokens=options.max_tokens, pad_id=None)
    schedule = schedule_of(config, len(work.rows))
    return PackedTrainer(
        config=config,
        model=JointModel(start.model, config.weights),
        args=arguments(config, schedule, folder, start.model),
        train_dataset=encode_rows(work.rows, encoder),
        data_collator=Collator(),
        held_out=None,
    )


def padded(work: Work, model: Path, options: argparse.Namespace, folder: Path) -> Trainer:
    """TRL's: pairs are tokenised before it starts, and padded to the longest of a batch."""
    # Imported here, so that our own side can be measured where TRL is not installed.
    from trl.trainer.reward_config import RewardConfig
    from trl.trainer.reward_trainer import RewardTrainer

    network = AutoModelForSequenceClassification.from_pretrained(model)
    assert isinstance(network, PreTrainedModel)
    return RewardTrainer(
        model=network,
        args=RewardConfig(
            output_dir=str(folder),
            max_steps=options.steps + 1,
            per_device_train_batch_size=work.pairs_per_step,
            learning_rate=_RATE,
            max_length=None,
            bf16=options.dtype == "bfloat16",
            gradient_checkpointing=False,
            report_to="none",
            save_strategy="no",
            logging_steps=options.steps + 1,
            dataloader_pin_memory=False,
        ),
        train_dataset=_as_pairs(work.rows),
        processing_class=AutoTokenizer.from_pretrained(model),
    )


ARMS: dict[str, Arm] = {"packed": packed, "TRL": padded}
"""Both trainers by name."""


def main() -> None:
    options = _options()
    transformers_logging.disable_progress_bar()
    page = Page("training", "Training on packed pairs against TRL's RewardTrainer")
    with TemporaryDirectory() as folder:
        model = options.model or make_checkpoint(
            Path(folder) / "model", options.hidden, options.layers
        )
        page.say(_introduction(model, options))
        works = _works(options)
        found = [
            time_arms(
                {
                    name: partial(arm, work, model, options, Path(folder) / "run")
                    for name, arm in ARMS.items()
                },
                work.name,
                options.repeats,
            )
            for work in works
        ]
        _report(page, model, works, found)
    page.write(options)


def _works(options: argparse.Namespace) -> list[Work]:
    """Return kinds of rows, each as many as a turn takes, so that all arms see the same."""
    names = {1: "one right and one wrong", 4: "one right and four wrong"}
    works = []
    for rivals, name in names.items():
        rows = read_pairs(options.data, rivals, same_family=rivals == 1)
        each = options.pairs // rivals
        works.append(Work(name, rows[: each * (options.steps + 1)], each, rivals))
    return works


def _report(
    page: Page, model: Path, works: list[Work], found: list[dict[str, list[float]]]
) -> None:
    rows: list[list[Cell]] = []
    for work, seconds in zip(works, found, strict=True):
        faster = ratio(seconds["TRL"], seconds["packed"])
        rates = [work.pairs_per_step / statistics.median(seconds[name]) for name in ARMS]
        met = verdict(faster.median >= _TARGET)
        rows.append([work.name, *rates, str(faster), _shared(work, model), met])
    page.table(["row", "packed pairs/s", "TRL pairs/s", "x TRL", "tokens kept", "met"], rows)
    page.say(
        f"x TRL: median of the turns, least and most favourable turn in brackets; at least "
        f"{_TARGET} is asked for. Tokens kept: computed by us, of those of all pairs' texts."
    )
    page.facts["seconds"] = {w.name: s for w, s in zip(works, found, strict=True)}


def _shared(work: Work, model: Path) -> float:
    """Share of the tokens that are left to compute, over the first rows."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    encoder = Encoder(tokenizer, max_tokens=tokenizer.model_max_length, pad_id=None)
    computed = whole = 0
    for row in work.rows[:50]:
        chosen = encoder.encode(conversation(row.prompt, row.chosen))
        rivals = [encoder.encode(conversation(row.prompt, r.text)) for r in row.rejected]
        computed += sum(new_tokens([chosen, *rivals]))
        whole += sum(len(chosen.ids) + len(rival.ids) for rival in rivals)
    return computed / whole


def _introduction(model: Path, options: argparse.Namespace) -> str:
    network = AutoModelForSequenceClassification.from_pretrained(model)
    parameters = sum(weight.numel() for weight in network.parameters())
    return (
        f"{parameters / 1e6:.1f} M parameters, {options.dtype}, {options.pairs} pairs a step, "
        f"{options.steps} steps a turn after one that does not count, {options.repeats} turns. "
        "GSM8K problems with right and wrong solutions, of one family of models where there is one "
        "of each. Both get their pairs tokenised before the clock runs. Neither "
        "recomputes activations."
    )


def _as_pairs(rows: list[PreferenceRow]) -> Dataset:
    def talk(row: PreferenceRow, answer: str) -> list[dict[str, str]]:
        return [
            {"role": message.role, "content": message.content}
            for message in conversation(row.prompt, answer)
        ]

    return Dataset.from_list(
        [
            {"chosen": talk(row, row.chosen), "rejected": talk(row, rival.text)}
            for row in rows
            for rival in row.rejected
        ]
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--pairs", type=int, default=16, help="a step; a multiple of 4")
    parser.add_argument("--steps", type=int, default=4, help="of a turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns")
    parser.add_argument("--max-tokens", type=int, default=8192, help="of a text")
    add_checkpoint_options(parser)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
