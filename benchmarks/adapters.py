"""Measures training with LoRA adapters on a CPU: tokens per second before and after each gain.

    python -m benchmarks.adapters --data DATA --model DIR [--steps 4] [--repeats 3]

The same rows, the same checkpoint and rank 16 for every arm: float32 with attention in torch's own
operations, bfloat16 products with the same attention, and bfloat16 products with our compiled
attention, which is what training does where a kernel is compiled. Arms take turns.
"""

import argparse
import statistics
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch
from transformers import Trainer
from transformers.utils import logging as transformers_logging

from benchmarks.harness.page import Cell, Page, add_output_options
from benchmarks.harness.stats import ratio
from benchmarks.harness.step_clock import time_arms
from benchmarks.inputs.pairs import read_pairs
from reward_model.attention import tree_attention
from reward_model.attention.compiled_gradient import training_kernels
from reward_model.text.encoding import Encoder
from trainer.pairs.encoded import EncodedRow, encode_rows
from trainer.training.config import LoraAdapters
from trainer.training.finetune import FinetuneConfig
from trainer.training.loop.arguments import arguments
from trainer.training.loop.schedule import schedule_of
from trainer.training.loop.trainer import PackedTrainer
from trainer.training.objective.batches import Batch, Collator, Totals
from trainer.training.objective.joint import JointModel
from trainer.training.objective.losses import JointLoss
from trainer.training.weights.lora import add_adapters
from trainer.training.weights.start import load_start

ARMS = {
    "float32, torch's attention": (False, False),
    "bfloat16, torch's attention": (True, False),
    "bfloat16, compiled attention": (True, True),
}
"""Whether products are in bfloat16, and whether attention is compiled."""

LORA = LoraAdapters(r=16, lora_alpha=32)

_RIVALS = 3


def main() -> None:
    options = _options()
    if training_kernels() is None:
        raise SystemExit("no kernel is compiled for this processor: scripts/build-kernels")
    transformers_logging.disable_progress_bar()
    page = Page("adapters", "Training with adapters on a CPU")
    rows = read_pairs(options.data, _RIVALS, same_family=False)
    needed = options.rows * (options.steps + 1)
    if len(rows) < needed:
        raise SystemExit(f"{needed} rows are needed, and there are {len(rows)}: take fewer --steps")
    rows = rows[:needed]
    encoder = Encoder(
        load_start(options.model, seed=1, with_lm=False).tokenizer,
        max_tokens=options.max_tokens,
        pad_id=None,
    )
    encoded = encode_rows(rows, encoder)
    tokens = computed(encoded) / (options.steps + 1)
    with TemporaryDirectory() as folder:
        seconds = time_arms(
            {
                name: partial(_trainer, *arm, encoded, options, Path(folder))
                for name, arm in ARMS.items()
            },
            "adapters",
            options.repeats,
        )
    _report(page, seconds, tokens, options)
    page.write(options)


def computed(rows: list[EncodedRow]) -> int:
    """Tokens that are computed when each row is packed by itself: its prompt once."""
    return sum(len(Collator().batch([row]).packed.ids) for row in rows)


class Arm(JointModel):
    """Attends in training by our kernels or, as where none is compiled, by torch's."""

    compiled: bool

    def forward(self, batch: Batch, totals: Totals | None = None) -> JointLoss:
        # The backward pass is that of the attention that was recorded here: nothing is recomputed.
        kernels = training_kernels if self.compiled else lambda: None
        with patch.object(tree_attention, "training_kernels", kernels):
            return super().forward(batch, totals)


def _trainer(
    bfloat16: bool,
    compiled: bool,
    rows: list[EncodedRow],
    options: argparse.Namespace,
    folder: Path,
) -> Trainer:
    config = FinetuneConfig(
        start=str(options.model),
        max_steps=options.steps + 1,
        prompts_per_step=options.rows,
        learning_rate=1e-5,
        bf16=bfloat16,
        lora=LORA,
        report_to="none",
        save_steps=0,
        eval_steps=0,
    )
    start = load_start(options.model, seed=1, with_lm=False)
    add_adapters(start.model, LORA)
    model = Arm(start.model, config.weights)
    model.compiled = compiled
    return PackedTrainer(
        config=config,
        model=model,
        args=arguments(config, schedule_of(config, len(rows)), folder, start.model),
        train_dataset=rows,
        data_collator=Collator(),
        held_out=None,
    )


def _report(
    page: Page, seconds: dict[str, list[float]], tokens: float, options: argparse.Namespace
) -> None:
    page.say(
        f"`{options.model.name}`, LoRA of rank {LORA.r} on all linear layers, ranking loss; "
        f"{options.rows} rows a step, each a problem of GSM8K with one right and {_RIVALS} wrong "
        f"solutions, {tokens:.0f} tokens a step on average, every prompt computed once; "
        f"{options.steps} steps a turn after one that does not count, {options.repeats} turns, "
        f"{torch.get_num_threads()} threads."
    )
    first = next(iter(ARMS))
    rows: list[list[Cell]] = [
        [name, round(tokens / statistics.median(turns)), str(ratio(seconds[first], turns))]
        for name, turns in seconds.items()
    ]
    page.table(["arm", "tokens/s", "times the first"], rows)
    page.say("Median of the turns; the least and the most favourable turn in brackets.")
    page.facts |= {"tokens": tokens, "seconds": seconds}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adapters", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint")
    parser.add_argument("--rows", type=int, default=4, help="a step")
    parser.add_argument("--steps", type=int, default=4, help="of a turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns")
    parser.add_argument("--max-tokens", type=int, default=8192, help="of a text")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
