"""The page of the study: curves over finetuning pairs, best of N, and what was not run."""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.claim_backbone.exercises import MOST_CHARACTERS, Exercise
from benchmarks.claim_backbone.finetuned import (
    ADAPTERS,
    FEWEST_STEPS,
    ROWS_PER_STEP,
    Finetuned,
    head_is_trained,
)
from benchmarks.claim_backbone.gains import (
    Measure,
    best_of_n,
    figure,
    first,
    gain,
    pairwise,
    rule,
    scores_by_seed,
)
from benchmarks.harness.page import Cell, Page
from trainer.pipeline.stage import MANIFEST, read_manifest

_SIZES_OF_N = (2, 4, 8, 16)


def report(
    page: Page,
    found: Sequence[Exercise],
    runs: Sequence[Finetuned],
    arms: dict[str, Path],
    options: argparse.Namespace,
) -> None:
    """Everything on the page."""
    page.say(
        f"Checkpoints of one backbone, finetuned on the same pairs in the same order: adapters "
        f"(LoRA, r {ADAPTERS.r}) and score head, ranking loss alone, learning rate "
        f"{options.learning_rate:g} falling as a cosine, {ROWS_PER_STEP} prompts a step, one pass "
        f"and at least {FEWEST_STEPS} steps, bfloat16. In brackets 95 % intervals from a bootstrap "
        "over seeds and problems at once; a difference is of the same seeds, pairs and problems, "
        "and its interval is of the difference itself."
    )
    for arm, folder in arms.items():
        page.say(f"*{arm}*: {_made_by(folder)}.")
    for exercise in found:
        page.say(f"*{exercise.name}*: {exercise.what}. {_sizes(exercise)}.")
    _accuracies(page, found, runs, list(arms))
    _best_of(page, found, runs, list(arms))
    _coverage(page, found, runs, list(arms), options)
    page.figure = plot(found, runs, list(arms))
    page.facts["runs"] = [
        {name: value for name, value in asdict(run).items() if name != "scores"} for run in runs
    ]


def _made_by(folder: Path) -> str:
    """How a checkpoint was made, from its manifest."""
    head = "trained" if head_is_trained(folder) else "random, by the run's seed"
    if not (folder / MANIFEST).is_file():
        return f"{folder.name} as it is; its score head is {head}"
    config = read_manifest(folder)["config"]
    losses = ", ".join(f"{name} {value:g}" for name, value in config["weights"].items() if value)
    adapters = f", adapters of r {config['lora']['r']}" if config.get("lora") else ""
    rejected = "" if config.get("with_rejected", True) else " without their rejected answers"
    prompts = ", the language-model loss on prompts too" if config.get("lm_on_prompt") else ""
    steps = read_manifest(folder).get("steps", config["max_steps"])
    return (
        f"{steps} steps of {config['prompts_per_step']} prompts{rejected}, losses weighed "
        f"{losses}{prompts}, learning rate {config['learning_rate']:g}{adapters}; its score "
        f"head is {head}"
    )


def _sizes(exercise: Exercise) -> str:
    pairs = sum(len(row.rejected) for rows in exercise.train for row in rows)
    problems = len({question.group for question in exercise.test})
    candidates = statistics.mean(len(question.answers) for question in exercise.test)
    right = statistics.mean(statistics.mean(q.correct) for q in exercise.test)
    return (
        f"{pairs} pairs of {len(exercise.train)} problems to finetune on; tested on "
        f"{len(exercise.test)} questions about {problems} other problems with {candidates:.1f} "
        f"candidates on average, {right:.0%} of them right; only questions with right and wrong "
        f"candidates, and only candidates of at most {MOST_CHARACTERS[exercise.name]} characters"
    )


def _accuracies(
    page: Page, found: Sequence[Exercise], runs: Sequence[Finetuned], arms: list[str]
) -> None:
    rows: list[list[Cell]] = []
    for exercise in found:
        longest = rule(exercise, "length_only", pairwise)
        rows += [
            [
                exercise.name,
                _asked(exercise, runs, pairs),
                *_cells(exercise, runs, arms, pairs, pairwise),
                str(longest),
                *_gains(exercise, runs, arms, pairs, pairwise),
            ]
            for pairs in _pairs(exercise, runs)
        ]
    page.say("Share of held-out pairs that are ranked right, ties half; 0.5 is chance:")
    page.table(["task", "pairs", *arms, "longer first", *_gain_names(arms)], rows)


def _best_of(
    page: Page, found: Sequence[Exercise], runs: Sequence[Finetuned], arms: list[str]
) -> None:
    rows: list[list[Cell]] = []
    for exercise in found:
        counts = [len(question.answers) for question in exercise.test]
        measures: dict[str, tuple[int, Measure]] = {
            str(n): (sum(count >= n for count in counts), best_of_n(n))
            for n in _SIZES_OF_N
            if n <= max(counts)
        }
        measures["all"] = (len(counts), first)
        for pairs in _pairs(exercise, runs):
            for n, (questions, measure) in measures.items():
                rows.append(
                    [
                        exercise.name,
                        _asked(exercise, runs, pairs),
                        n,
                        questions,
                        *_cells(exercise, runs, arms, pairs, measure),
                        str(rule(exercise, "length_only", measure)),
                        str(rule(exercise, "random", measure)),
                        *_gains(exercise, runs, arms, pairs, measure),
                    ]
                )
    page.say(
        "Best of N: the probability that the best-scored of N candidates is right, the exact "
        "expectation over all draws of N from those there are, over the questions that have N:"
    )
    head = ["task", "pairs", "N", "questions", *arms, "longest", "random pick", *_gain_names(arms)]
    page.table(head, rows)


def _coverage(
    page: Page,
    found: Sequence[Exercise],
    runs: Sequence[Finetuned],
    arms: list[str],
    options: argparse.Namespace,
) -> None:
    """Which runs there are, and which of those that were asked for are missing."""
    rows: list[list[Cell]] = []
    missing = []
    for exercise in found:
        for pairs in options.sizes:
            seeds = {arm: scores_by_seed(runs, exercise.name, arm, pairs) for arm in arms}
            rows.append([exercise.name, pairs, *(len(each) for each in seeds.values())])
            if lacking := [arm for arm in arms if len(seeds[arm]) < options.seeds]:
                missing.append(f"{exercise.name} {pairs} ({', '.join(lacking)})")
    minutes = sum(sum(run.seconds) for run in runs) / 60
    page.say(
        f"Seeds that were run, of {options.seeds} ({len(runs)} runs, {minutes:.0f} minutes of "
        f"training and scoring). Not or not wholly run: {'; '.join(missing) or 'nothing'}."
    )
    page.table(["task", "pairs", *arms], rows)


def _pairs(exercise: Exercise, runs: Sequence[Finetuned]) -> list[int]:
    return sorted({run.pairs for run in runs if run.task == exercise.name})


def _asked(exercise: Exercise, runs: Sequence[Finetuned], pairs: int) -> str:
    """Pairs that were asked for, and how many there were where they were fewer."""
    there = max(
        (run.trained for run in runs if (run.task, run.pairs) == (exercise.name, pairs)), default=0
    )
    return str(pairs) if there == pairs else f"{pairs} (all {there})"


def _cells(
    exercise: Exercise, runs: Sequence[Finetuned], arms: list[str], pairs: int, measure: Measure
) -> list[str]:
    found = (figure(exercise, runs, arm, pairs, measure) for arm in arms)
    return [str(each) if each else "not run" for each in found]


def _gains(
    exercise: Exercise, runs: Sequence[Finetuned], arms: list[str], pairs: int, measure: Measure
) -> list[str]:
    found = (gain(exercise, runs, (arms[0], other), pairs, measure) for other in arms[1:])
    return [
        f"{each.mean:+.3f} [{each.low:+.3f}, {each.high:+.3f}]" if each else "not run"
        for each in found
    ]


def _gain_names(arms: list[str]) -> list[str]:
    return [f"{arms[0]} - {other}" for other in arms[1:]]


def plot(found: Sequence[Exercise], runs: Sequence[Finetuned], arms: list[str]) -> Figure:
    """A panel for each task: accuracy against pairs, with intervals."""
    drawing = Figure(figsize=(3.6 * len(found), 3.6), layout="constrained")
    panels = drawing.subplots(1, len(found), squeeze=False)[0]
    for axes, exercise in zip(panels, found, strict=True):
        sizes = _pairs(exercise, runs)
        for number, arm in enumerate(arms):
            points = [
                (place, each)
                for place, pairs in enumerate(sizes)
                if (each := figure(exercise, runs, arm, pairs, pairwise))
            ]
            means = np.array([each.mean for _, each in points])
            bars = np.array(
                [[each.mean - each.low, each.high - each.mean] for _, each in points]
            ).reshape(-1, 2)
            # Beside each other, or the bars of several arms would hide each other.
            places = [place + 0.08 * (number - (len(arms) - 1) / 2) for place, _ in points]
            axes.errorbar(places, means, bars.T, marker="o", capsize=3, label=arm)
        longest = rule(exercise, "length_only", pairwise).mean
        axes.axhline(longest, color="grey", linestyle=":", linewidth=1, label="longer first")
        axes.axhline(0.5, color="grey", linewidth=1)
        axes.set_xticks(range(len(sizes)), [str(pairs) for pairs in sizes])
        axes.set(title=exercise.name, xlabel="finetuning pairs", ylabel="pairwise accuracy")
    panels[0].legend(fontsize="small")
    return drawing
