"""Measures the gain of prefix sharing: the packed forward beside padded batches of transformers.

    python -m benchmarks.engine [--repeats 5] [--threads 2]
    python -m benchmarks.engine --device cuda --dtype bfloat16 --hidden 1536 --layers 28

One random Qwen2-shaped checkpoint, the same texts for every arm, arms taking turns, medians.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from matplotlib.figure import Figure
from transformers.utils import logging as transformers_logging

from benchmarks.harness.page import Cell, Page, add_output_options, verdict
from benchmarks.harness.processes import run_as_served
from benchmarks.inputs.arms import PACKED, PADDED, SHARED, TOLERANCE, Arm, Rivals, load_rivals
from benchmarks.inputs.checkpoint import make_checkpoint
from benchmarks.inputs.workloads import BATCH, LONGEST, Workload, workloads

_TARGETS = (((600, 16, 150), SHARED, 4.0), ((600, 1, 150), PACKED, 1.0))
"""P, N and C, and how many times as fast as padding an arm should be there."""


@dataclass(frozen=True)
class Measured:
    """Seconds that each turn of an arm took for a workload's sixteen sequences."""

    work: Workload
    arm: str
    tokens: int
    text_tokens: int
    seconds: list[float]

    @property
    def rate(self) -> float:
        """Sequences per second, median over turns."""
        return BATCH / statistics.median(self.seconds)

    @property
    def token_rate(self) -> float:
        """Tokens of the texts scored per second, whether they were computed once or often."""
        return self.text_tokens / statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """Sequences per second of the slowest and of the fastest turn."""
        return BATCH / max(self.seconds), BATCH / min(self.seconds)


Measurement = dict[str, Measured]
"""One workload's arms by name."""


def main() -> None:
    options = _options()
    run_as_served()
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers_logging.disable_progress_bar()
    page = Page("engine", "Packed forward against padded batches")
    with TemporaryDirectory() as folder:
        model = options.model or make_checkpoint(Path(folder), options.hidden, options.layers)
        rivals = load_rivals(model, LONGEST, options.device, options.dtype)
    _introduce(page, rivals, options)
    found = list(_measure(rivals, page, options.repeats))
    _report(page, found)
    _judge(page, found)
    page.figure = plot(found)
    page.write(options)


def _introduce(page: Page, rivals: Rivals, options: argparse.Namespace) -> None:
    parameters = sum(weight.numel() for weight in rivals.padded.parameters())
    name = options.model.name if options.model else "Random Qwen2-shaped checkpoint"
    page.facts |= {"model": name, "parameters": parameters, "arms": []}
    page.say(
        f"{name}, {parameters / 1e6:.1f} M parameters, {options.dtype} on {options.device}. "
        "Sequences per second "
        f"over {BATCH} sequences, median of {options.repeats} turns, slowest and fastest turn in "
        "brackets; the arms take turns. Padded: `AutoModelForSequenceClassification`, SDPA, right "
        "padding to the longest of the batch, with a mask. Packed, not shared: the same texts, "
        "each with a first token of its own. P, N, C: tokens of a prompt, candidates of it, tokens "
        "of a candidate; lengths that vary are drawn from 0.5 C to 1.5 C, alike for all arms."
    )


def _measure(rivals: Rivals, page: Page, repeats: int) -> Iterator[Measurement]:
    gaps: list[float] = []
    for work in workloads(rivals.vocabulary):
        gaps.append(rivals.gap(work))  # this warms all arms up, too
        print(f"measuring {work} ...", flush=True)
        arms = rivals.arms(work)
        seconds = _take_turns(arms, repeats)
        yield {
            name: Measured(work, name, arm.tokens, arm.text_tokens, seconds[name])
            for name, arm in arms.items()
        }
    page.facts["largest_gap"] = max(gaps)
    page.say(
        f"Packed and padded scores of the same texts differ by {max(gaps):.1e} at most "
        f"(limit {rivals.tolerance:.0e})."
    )


def _take_turns(arms: dict[str, Arm], repeats: int) -> dict[str, list[float]]:
    """Arms alternate and each leads in its turn, so that a machine that slows down slows all."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    order = list(arms)
    for turn in range(repeats):
        lead = turn % len(order)
        for name in order[lead:] + order[:lead]:
            started = time.perf_counter()
            arms[name].score_all()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def _report(page: Page, found: list[Measurement]) -> None:
    rows: list[list[Cell]] = []
    for measurement in found:
        for measured in measurement.values():
            slow, fast = measured.spread
            rate = f"{measured.rate:.2f} [{slow:.2f}, {fast:.2f}]"
            times = f"{_times_padded(measurement, measured.arm):.2f}"
            tokens = f"{measured.token_rate:.0f}"
            rows.append([str(measured.work), measured.arm, measured.tokens, tokens, rate, times])
    page.table(
        ["workload", "arm", "tokens computed", "tokens scored/s", "sequences/s", "x padded"], rows
    )
    page.facts["arms"] = [
        {"workload": str(m.work), "arm": m.arm, "tokens": m.tokens, "seconds": m.seconds}
        for measurement in found
        for m in measurement.values()
    ]


def _judge(page: Page, found: list[Measurement]) -> None:
    rows: list[list[Cell]] = []
    for size, arm, target in _TARGETS:
        for measurement in found:
            work = measurement[arm].work
            if work.shape.size == size:
                times = _times_padded(measurement, arm)
                goal = f"{target:.0f} x padded"
                rows.append([str(work), arm, f"{times:.2f}", goal, verdict(times >= target)])
    page.table(["workload", "arm", "x padded", "at least", ""], rows)


def _times_padded(measurement: Measurement, arm: str) -> float:
    return measurement[arm].rate / measurement[PADDED].rate


def plot(found: list[Measurement]) -> Figure:
    """Sequences per second, a group of bars for each workload, whiskers over all turns."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for place, arm in enumerate((PADDED, PACKED, SHARED)):
        rates = [measurement[arm].rate for measurement in found]
        spreads = [measurement[arm].spread for measurement in found]
        below = [rate - slow for rate, (slow, _) in zip(rates, spreads, strict=True)]
        above = [fast - rate for rate, (_, fast) in zip(rates, spreads, strict=True)]
        rows = [group + 0.27 * (place - 1) for group in range(len(found))]
        axes.barh(rows, rates, 0.25, xerr=[below, above], label=arm)
    axes.set_yticks(range(len(found)), [str(measurement[PADDED].work) for measurement in found])
    axes.invert_yaxis()
    axes.set_xlabel("sequences per second")
    axes.legend()
    return figure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--model", type=Path, help="a checkpoint to use instead of a random one")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=sorted(TOLERANCE), default="float32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0 leaves it to torch")
    parser.add_argument(
        "--hidden", type=int, default=512, help="of the random one, a multiple of 64"
    )
    parser.add_argument("--layers", type=int, default=8, help="of the random one")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
