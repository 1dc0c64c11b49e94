"""Measures DPO on packed trees: pairs/s beside TRL's DPOTrainer.

    python -m benchmarks.policy_training --data DIR [--steps 3] [--repeats 3]

The same token ids, the same random network, AdamW on all weights, the sigmoid loss, and reference
log-probs that were computed before for both: their loss and gradients are the same to 1e-5
(tests/trainer/policy/test_trl.py). Arms take turns.
"""

import argparse
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from datasets import Dataset
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, Trainer
from transformers.utils import logging as transformers_logging
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from benchmarks.harness.page import Cell, Page, add_output_options, verdict
from benchmarks.harness.stats import ratio
from benchmarks.harness.step_clock import time_arms
from benchmarks.inputs.checkpoint import POSITIONS, make_checkpoint
from benchmarks.inputs.pairs import read_pairs
from trainer.pairs.policy_row import PolicyAnswer, PolicyRow
from trainer.policy.batches import PolicyCollator, pack_answers
from trainer.policy.config import DpoConfig
from trainer.policy.encoded import EncodedPolicyRow
from trainer.policy.model import PolicyModel
from trainer.policy.start import load_policy
from trainer.training.loop.arguments import arguments
from trainer.training.loop.schedule import schedule_of
from trainer.training.loop.trainer import PackedTrainer

# Times TRL's rate that are asked for, by the number of rejected answers.
_TARGETS = {1: 1.5, 4: 3.0}
_REFERENCE = (-100.0, -110.0)
_RATE = 1e-6


@dataclass(frozen=True)
class DpoWork:
    """Rows, as many of them a step as there are pairs, each with so many rejected answers."""

    name: str
    rows: list[EncodedPolicyRow]
    rows_per_step: int
    rivals: int


def packed(work: DpoWork, model: Path, options: argparse.Namespace, folder: Path) -> Trainer:
    """Ours."""
    config = DpoConfig(
        start=str(model),
        max_steps=options.steps + 1,
        prompts_per_step=work.rows_per_step,
        learning_rate=_RATE,
        bf16=options.dtype == "bfloat16",
        report_to="none",
        save_steps=0,
        eval_steps=0,
        logging_steps=options.steps + 1,
    )
    network = load_policy(model).network
    return PackedTrainer(
        config=config,
        model=PolicyModel(network, config.losses, beta=config.beta),
        args=arguments(config, schedule_of(config, len(work.rows)), folder, network),
        train_dataset=work.rows,
        data_collator=PolicyCollator(lambda _row, _answer: _REFERENCE),
        held_out=None,
    )


def padded(work: DpoWork, model: Path, options: argparse.Namespace, folder: Path) -> Trainer:
    """TRL's, given the same ids and reference log-probs in place of what it made of a text."""
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    assert isinstance(network, PreTrainedModel)
    pairs = [(row, answer) for row in work.rows for answer in row.rejected]
    trainer = DPOTrainer(
        model=network,
        args=DPOConfig(
            output_dir=str(folder),
            max_steps=options.steps + 1,
            per_device_train_batch_size=work.rows_per_step * work.rivals,
            learning_rate=_RATE,
            max_length=None,
            bf16=options.dtype == "bfloat16",
            gradient_checkpointing=False,
            precompute_ref_log_probs=True,
            report_to="none",
            save_strategy="no",
            logging_steps=options.steps + 1,
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),
        processing_class=AutoTokenizer.from_pretrained(model),
    )
    trainer.train_dataset = Dataset.from_list(
        [
            {
                "prompt_ids": list(row.prompt_ids),
                "chosen_ids": list(row.chosen.ids),
                "rejected_ids": list(answer.ids),
                "ref_chosen_logps": _REFERENCE[0],
                "ref_rejected_logps": _REFERENCE[1],
            }
            for row, answer in pairs
        ]
    )
    return trainer


_ARMS: dict[str, Callable[[DpoWork, Path, argparse.Namespace, Path], Trainer]] = {
    "packed": packed,
    "TRL": padded,
}


def main() -> None:
    options = _options()
    transformers_logging.disable_progress_bar()
    page = Page("policy_training", "DPO on packed trees against TRL's DPOTrainer")
    with TemporaryDirectory() as folder:
        model = options.model or _make_policy(Path(folder) / "model", options)
        busy = os.getloadavg()[0]
        works = _works(model, options)
        page.say(_introduction(model, options))
        rows: list[list[Cell]] = []
        for work in works:
            arms = {
                name: partial(arm, work, model, options, Path(folder) / "run")
                for name, arm in _ARMS.items()
            }
            seconds = time_arms(arms, work.name, options.repeats)
            faster = ratio(seconds["TRL"], seconds["packed"])
            pairs = work.rows_per_step * work.rivals
            rates = [pairs / statistics.median(seconds[name]) for name in _ARMS]
            met = verdict(faster.median >= _TARGETS[work.rivals])
            rows.append([work.name, *_lengths(work), *rates, str(faster), _kept(work), met])
            page.facts[work.name] = seconds
        header = ["row", "prompt", "answer", "packed pairs/s", "TRL pairs/s", "x TRL"]
        page.table([*header, "tokens kept", "met"], rows)
        page.say(
            "Prompt and answer: tokens, mean. x TRL: median of the turns, least and most "
            "favourable turn in brackets; at least 1.5 is asked for with one rejected answer and 3 "
            "with four. Tokens kept: computed by us, of those of all pairs' texts without padding."
        )
        if busy > (os.cpu_count() or 1):
            page.say(
                f"**The machine was busy** (load average {busy:.1f} on {os.cpu_count()} cores) "
                "before it began, so rates are low; both arms took turns under the same load."
            )
    page.write(options)


def _make_policy(folder: Path, options: argparse.Namespace) -> Path:
    """A random causal language model with tied embeddings and the default tokenizer."""
    make_checkpoint(folder, options.hidden, options.layers)
    config = AutoConfig.from_pretrained(folder)
    config.tie_word_embeddings = True
    config.architectures = None
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def _works(model: Path, options: argparse.Namespace) -> list[DpoWork]:
    """Problems as they are and behind worked examples, with one rejected answer and four."""
    start = load_policy(model, max_length=POSITIONS)
    works = []
    for rivals in (1, 4):
        each = options.pairs // rivals
        given = read_pairs(options.data, rivals, same_family=rivals == 1)
        given = given[: each * (options.steps + 1)]
        examples = [f"{row.prompt}\n{row.chosen}" for row in given[:4]]
        for name, before in (("short prompts", ""), ("long prompts", "\n\n".join(examples))):
            rows = [
                PolicyRow(
                    row.id,
                    row.group,
                    f"{before}\n\n{row.prompt}".strip(),
                    PolicyAnswer("chosen", row.chosen),
                    tuple(PolicyAnswer("rejected", rival.text) for rival in row.rejected),
                )
                for row in given
            ]
            encoded = start.encoder.encode(rows)
            works.append(DpoWork(f"{name}, {rivals} rejected", encoded, each, rivals))
    return works


def _lengths(work: DpoWork) -> tuple[int, int]:
    """Mean tokens of a prompt and of an answer."""
    answers = [len(answer.ids) for row in work.rows for answer in row.answers]
    prompts = [len(row.prompt_ids) for row in work.rows]
    return round(statistics.mean(prompts)), round(statistics.mean(answers))


def _kept(work: DpoWork) -> float:
    """Share of the tokens of all pairs' texts that are left to compute."""
    computed = whole = 0
    for row in work.rows:
        answers = pack_answers([(row.prompt_ids, answer.ids) for answer in row.answers])
        computed += len(answers.packed.ids)
        for answer in row.rejected:
            whole += 2 * len(row.prompt_ids) + len(row.chosen.ids) + len(answer.ids)
    return computed / whole


def _introduction(model: Path, options: argparse.Namespace) -> str:
    network = load_policy(model).network
    parameters = sum(weight.numel() for weight in network.parameters())
    return (
        f"{parameters / 1e6:.1f} M parameters, {options.dtype}, {options.pairs} pairs a step, "
        f"{options.steps} steps a turn after one that does not count, {options.repeats} turns, "
        f"{torch.get_num_threads()} threads. GSM8K problems with right and wrong solutions; a long "
        "prompt has four worked examples before its problem. Both get the same ids, and neither "
        "recomputes activations or computes a reference."
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.policy_training", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--pairs", type=int, default=8, help="a step; a multiple of 4")
    parser.add_argument("--steps", type=int, default=3, help="of a turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns")
    parser.add_argument("--model", type=Path, help="a checkpoint to use instead of a random one")
    parser.add_argument("--hidden", type=int, default=512, help="of the random one")
    parser.add_argument("--layers", type=int, default=8, help="of the random one")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
