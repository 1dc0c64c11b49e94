"""Preference pairs per second in training: the packed trainer against TRL's RewardTrainer."""

import random
import statistics
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.gpu_day.day import Row, Setting, Skipped
from benchmarks.gpu_day.networks import load_tokenizer
from benchmarks.gpu_day.served import checkpoint, texts_of
from benchmarks.inputs.corpus import Writer
from trainer.pairs.row import PreferenceRow, Rejected

_STEPS = 6


def run(setting: Setting, size_name: str) -> Iterator[Row]:
    """Rows with one rejected answer and with four, each trainer in turns."""
    for package in ("datasets", "accelerate"):
        if not find_spec(package):
            raise Skipped(f"the trainer needs the package {package}: carry it as a wheel")
    # Imported here, because where it is missing all other parts must run.
    from benchmarks.harness.step_clock import time_arms
    from benchmarks.training import ARMS, Work

    toy = setting.scale.device == "cpu"
    steps, repeats = (1, 1) if toy else (_STEPS, 3)
    options = Namespace(steps=steps, dtype=setting.scale.dtype, max_tokens=8192)
    arms = dict(ARMS)
    if not find_spec("trl"):
        del arms["TRL"]
        yield {"row": "TRL is not installed", "x TRL": "not measured"}
    with checkpoint(setting, size_name) as model, TemporaryDirectory() as folder:
        for rivals in (1,) if toy else (1, 4):
            each = setting.scale.training_pairs // rivals
            rows = make_rows(setting, rivals, each * (steps + 1))
            work = Work(f"{rivals} rejected", rows, each, rivals)
            made = {
                name: partial(arm, work, model, options, Path(folder) / "run")
                for name, arm in arms.items()
            }
            seconds = time_arms(made, work.name, repeats)
            medians = {name: statistics.median(seconds[name]) for name in arms}
            row: Row = {"row": work.name}
            for name, median in medians.items():
                row[f"{name} pairs/s"] = work.pairs_per_step / median
            if "TRL" in medians:
                row["x TRL"] = medians["TRL"] / medians["packed"]
            yield row


def make_rows(setting: Setting, rivals: int, count: int) -> list[PreferenceRow]:
    """Prompts and answers of the scale's lengths; which answer is right says nothing."""
    scale, rng = setting.scale, random.Random(1)
    writer = Writer(texts_of(setting), load_tokenizer().backend_tokenizer)
    rows = []
    for number in range(count):
        prompt = writer.prompt(rng, scale.prompt)
        lengths = [round(scale.candidate * rng.uniform(0.5, 1.5)) for _ in range(rivals + 1)]
        chosen, *others = (writer.answer(rng, length) for length in lengths)
        rejected = tuple(Rejected("random", text) for text in others)
        rows.append(PreferenceRow(f"{number}", f"{number}", prompt, chosen, rejected))
    return rows
