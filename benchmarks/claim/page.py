"""The page of the claim's study: curves with and without pretraining, and the ablations."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import t as students_t

from benchmarks.claim.run import EPOCHS, LEARNING_RATE, Run
from benchmarks.claim.tasks import Task
from benchmarks.harness.page import Cell, Page
from benchmarks.harness.ranking import Estimate
from trainer.pairs.accuracy import longer_is_chosen
from trainer.pipeline.stage import read_manifest

BASE, PRETRAINED = "warmup", "pretrain"
ABLATIONS = ("short_both", "short_rm", "short_lm", "short_cosine")
WORDS = {
    BASE: "base language model alone",
    PRETRAINED: "pretrained on code preferences",
    "short_both": "ranking + LM loss, WSD",
    "short_rm": "ranking loss alone, WSD",
    "short_lm": "LM loss alone, WSD",
    "short_cosine": "ranking + LM loss, cosine",
}


def report(page: Page, tasks: list[Task], runs: list[Run], work: Path) -> None:
    """Everything on the page; rows with too few seeds for an interval say so."""
    seeds = len({run.seed for run in runs})
    page.say(
        f"{WORDS[BASE].capitalize()} against the same after preference-model pretraining "
        f"({_pretraining(work)}), both finetuned on the same pairs in the same order: {EPOCHS} "
        f"epochs, 30 steps at least, ranking loss alone, learning rate {LEARNING_RATE:g}. "
        f"{seeds} seeds; intervals are 95 %, by Student's t over seeds, and do not cover the "
        "choice of test rows, which every arm and seed shares. The unpretrained head is random. "
        "Some of what pretraining rejects are mutants of functions, as are some of MBPP's wrong "
        "answers, of other functions."
    )
    for task in tasks:
        page.say(f"*{task.name}*, {_size(task)}: {task.what}.")
    _curves(page, tasks, runs)
    _ablations(page, tasks, runs, work)
    page.figure = plot(tasks, runs)
    page.facts["runs"] = [asdict(run) for run in runs]


def over_seeds(values: list[float]) -> Estimate:
    """Mean with Student's t interval; all that is possible from fewer than two values."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean, -np.inf, np.inf)
    half = students_t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return Estimate(mean, mean - float(half), mean + float(half))


def accuracies(runs: list[Run], task: str, arm: str, pairs: int) -> dict[int, float]:
    """By seed."""
    return {r.seed: r.accuracy for r in runs if (r.task, r.arm, r.pairs) == (task, arm, pairs)}


def gain(runs: list[Run], task: str, arm: str, pairs: int) -> Estimate | None:
    """How much more accurate than the base, seed by seed: both saw the same pairs."""
    ours, base = (accuracies(runs, task, each, pairs) for each in (arm, BASE))
    both = sorted(ours.keys() & base.keys())
    return over_seeds([ours[seed] - base[seed] for seed in both]) if both else None


def _pretraining(work: Path) -> str:
    config = read_manifest(work / PRETRAINED)["config"]
    return (
        f"{config['steps']} steps of {config['prompts_per_step']} prompts with all their rejected "
        f"answers, learning rate {config['learning_rate']:g}, losses weighed {_weights(config)}"
    )


def _weights(config: dict[str, Any]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in config["weights"].items() if weight)


def _steps(work: Path) -> int:
    return int(read_manifest(work / ABLATIONS[0])["config"]["steps"])


def _size(task: Task) -> str:
    rows = [row for problem in task.train for row in problem]
    most = sum(len(row.rejected) for row in rows)
    tested = sum(len(row.rejected) for row in task.test)
    return (
        f"{most} pairs of {len(task.train)} problems to finetune on, tested on {tested} pairs of "
        f"others, on which the longer answer is right {longer_is_chosen(task.test):.3f} of the time"
    )


def _curves(page: Page, tasks: list[Task], runs: list[Run]) -> None:
    rows: list[list[Cell]] = []
    for task in tasks:
        for pairs in _sizes(runs, task.name, PRETRAINED):
            cells = [_cell(runs, task.name, arm, pairs) for arm in (BASE, PRETRAINED)]
            more = gain(runs, task.name, PRETRAINED, pairs)
            rows.append([task.name, pairs, *cells, _signed(more)])
    page.table(["task", "pairs", "base", "pretrained", "gain, same pairs"], rows)


def _ablations(page: Page, tasks: list[Task], runs: list[Run], work: Path) -> None:
    rows: list[list[Cell]] = []
    for task in tasks:
        for arm in ABLATIONS:
            for pairs in _sizes(runs, task.name, ABLATIONS[0]):
                measured = [
                    _cell(runs, task.name, arm, pairs),
                    _signed(gain(runs, task.name, arm, pairs)),
                ]
                seeds = len(accuracies(runs, task.name, arm, pairs))
                rows.append([task.name, pairs, WORDS[arm], seeds, *measured])
    if rows:
        page.say(f"Short pretraining instead ({_steps(work)} steps), with its parts left out:")
        head = ["task", "pairs", "pretraining", "seeds", "accuracy", "gain over the base"]
        page.table(head, rows)


def _sizes(runs: list[Run], task: str, arm: str) -> list[int]:
    return sorted({run.pairs for run in runs if (run.task, run.arm) == (task, arm)})


def _cell(runs: list[Run], task: str, arm: str, pairs: int) -> str:
    found = list(accuracies(runs, task, arm, pairs).values())
    if len(found) == 1:
        return f"{found[0]:.3f}"
    return str(over_seeds(found)) if found else "not run"


def _signed(gain: Estimate | None) -> str:
    if gain is None:
        return "not run"
    interval = f" [{gain.low:+.3f}, {gain.high:+.3f}]" if np.isfinite(gain.low) else ""
    return f"{gain.mean:+.3f}{interval}"


def plot(tasks: list[Task], runs: list[Run]) -> Figure:
    """A panel for each task: accuracy against pairs, bars are intervals over seeds."""
    figure = Figure(figsize=(3.4 * len(tasks), 3.4), layout="constrained")
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        for arm in (BASE, PRETRAINED):
            sizes = _sizes(runs, task.name, arm)
            found = [over_seeds(list(accuracies(runs, task.name, arm, n).values())) for n in sizes]
            half = [e.high - e.mean if np.isfinite(e.high) else 0.0 for e in found]
            places = range(len(sizes))
            axes.errorbar(
                places, [e.mean for e in found], half, marker="o", capsize=3, label=WORDS[arm]
            )
            axes.set_xticks(places, [str(n) for n in sizes])
        axes.axhline(0.5, color="grey", linewidth=1)
        axes.set(title=task.name, xlabel="finetuning pairs", ylabel="pairwise accuracy")
    panels[0].legend(fontsize="small")
    return figure
