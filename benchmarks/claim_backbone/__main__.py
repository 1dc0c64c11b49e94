"""Measures the gain of preference-model pretraining (arXiv 2410.02229) on a real backbone.

    python -m benchmarks.claim_backbone --arm codepmp=WORK/pretrain --arm plain=BASE \\
        --arm lm=WORK/lm --data ../shared/data --code-train PROBLEMS SAMPLES VOTES \\
        --code-test PROBLEMS SAMPLES VOTES --runs WORK/claim.jsonl [--minutes 60] [--write]

The first arm is compared with each of the others. All are checkpoints of one backbone, finetuned
with adapters on the same pairs, with several seeds. Runs that the file holds are not repeated.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm
from transformers.utils import logging as transformers_logging

from benchmarks.claim_backbone import exercises
from benchmarks.claim_backbone.exercises import Exercise, Limits
from benchmarks.claim_backbone.finetuned import (
    ADAPTERS,
    FEWEST_STEPS,
    ROWS_PER_STEP,
    Finetuned,
    append_run,
    head_is_trained,
    read_runs,
    run,
)
from benchmarks.claim_backbone.page import report
from benchmarks.harness.page import Page, add_output_options
from reward_model.release.release import sha256
from trainer.pipeline.stage import StageError
from trainer.training.weights.start import find

Job = tuple[Exercise, int, int, str]
"""Exercise, pairs, seed, arm."""


def main() -> None:
    options = _options()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        arms = {name: find(folder, Path()) for name, folder in options.arms.items()}
        found = _exercises(options)
    except (StageError, ValueError, OSError) as error:
        sys.exit(f"claim_backbone: {error}")
    made_of = {
        (exercise.name, arm): _made_of(exercise, folder, options.learning_rate)
        for exercise in found
        for arm, folder in arms.items()
    }
    wanted = list(jobs(found, arms, options.sizes, options.seeds))
    known = _current(read_runs(options.runs), made_of)
    done = {(each.task, each.pairs, each.seed, each.arm) for each in known}
    left = [job for job in wanted if (job[0].name, *job[1:]) not in done]
    ends = time.monotonic() + 60 * options.minutes
    for exercise, pairs, seed, arm in tqdm(left, desc="runs", disable=None):
        if time.monotonic() >= ends:
            break
        made = made_of[exercise.name, arm]
        result = run(arms[arm], arm, exercise, pairs, seed, options.learning_rate, made)
        append_run(options.runs, result)
        known.append(result)
        print(f"{exercise.name} {pairs} {arm} seed {seed}: {result.seconds} s", flush=True)
    page = Page("claim-backbone", "What pretraining on code preferences buys a real backbone")
    report(page, found, known, arms, options)
    page.write(options)


def jobs(
    found: list[Exercise], arms: dict[str, Path], sizes: list[int], seeds: int
) -> Iterator[Job]:
    """In such an order that what is there when time runs out is whole.

    Of all sizes but the largest, all tasks and arms of a seed come before the next seed; the
    largest comes last, because it costs more than all others.
    """
    # Without finetuning nothing depends on the seed, and a head that never ranked says nothing.
    ranked = [arm for arm, folder in arms.items() if head_is_trained(folder)]
    yield from ((exercise, 0, 1, arm) for exercise in found for arm in ranked)
    for part in (sizes[:-1], sizes[-1:]):
        for seed in range(1, seeds + 1):
            for pairs in part:
                yield from ((exercise, pairs, seed, arm) for exercise in found for arm in arms)


def _exercises(options: argparse.Namespace) -> list[Exercise]:
    """Those whose data are named."""
    limits = Limits(options.held_out, options.candidates)
    found = []
    if options.code_train and options.code_test:
        found.append(exercises.of_samples(options.code_train, options.code_test, limits))
    if options.data:
        logic = options.data / "logic_llm" / "LogicalDeduction_train.json.gz"
        found.append(exercises.of_solutions(options.data, limits))
        found.append(exercises.of_options(logic, limits))
    if not found:
        raise ValueError("there is no task: give --data, or --code-train with --code-test")
    if empty := [each.name for each in found if not (each.train and each.test)]:
        raise ValueError(f"{empty[0]} has nothing to train on or nothing to test")
    return found


def _made_of(exercise: Exercise, folder: Path, rate: float) -> str:
    """Everything that a run's figures depend on beside its size and seed."""
    weights = [sha256(file) for file in sorted(folder.glob("*.safetensors"))]
    settings = (ADAPTERS, ROWS_PER_STEP, FEWEST_STEPS, rate)
    whole = repr((exercise.fingerprint, weights, settings, head_is_trained(folder)))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _current(runs: list[Finetuned], made_of: dict[tuple[str, str], str]) -> list[Finetuned]:
    """The runs of these exercises, checkpoints and settings; others are named and not used."""
    current = [each for each in runs if made_of.get((each.task, each.arm)) == each.made_of]
    if others := len(runs) - len(current):
        print(f"{others} runs of other data, checkpoints or settings are not used", file=sys.stderr)
    return current


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.claim_backbone",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stages = ("PROBLEMS", "SAMPLES", "VOTES")
    parser.add_argument(
        "--arm",
        action="append",
        required=True,
        metavar="NAME=CHECKPOINT",
        help="a checkpoint of the backbone, the pretrained one first; two arms or more",
    )
    parser.add_argument("--runs", type=Path, required=True, help="JSON Lines file of all runs")
    parser.add_argument("--data", type=Path, help="folder with candidates/ and logic_llm/")
    parser.add_argument(
        "--code-train",
        action="append",
        type=Path,
        nargs=3,
        metavar=stages,
        help="finished stages to finetune on; may be given again",
    )
    parser.add_argument(
        "--code-test", type=Path, nargs=3, metavar=stages, help="stages of held-out problems"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 200, 1000], help="pairs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--held-out", type=int, default=48, help="problems of each task")
    parser.add_argument("--candidates", type=int, default=8, help="of each held-out problem")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument(
        "--minutes",
        type=float,
        default=float("inf"),
        help="after these no new run starts; 0 writes the page of what is there",
    )
    add_output_options(parser)
    options = parser.parse_args()
    pairs = [arm.partition("=") for arm in options.arm]
    options.arms = {name: folder for name, _, folder in pairs}
    if len(options.arms) != len(pairs) or len(pairs) < 2 or not all(options.arms.values()):
        parser.error("--arm takes NAME=CHECKPOINT, at least twice and each name once")
    if min(options.sizes) < 1 or sorted(set(options.sizes)) != options.sizes:
        parser.error("--sizes takes numbers of pairs, each larger than the one before")
    return options


if __name__ == "__main__":
    main()
