"""Chooses what a user left open: hold-out, length, batch, rate, and what memory and time allow."""

from math import ceil

from trainer.autoconfig.base import Base
from trainer.autoconfig.budget import bound_steps, held_out_rows, weights_to_train
from trainer.autoconfig.choice import Choices
from trainer.autoconfig.data import Data
from trainer.autoconfig.workload import Workload
from trainer.pairs.split import HoldOut
from trainer.pipeline.stage import StageError

# Prompts without which nothing can be held out, and pairs below which a figure says little.
_MIN_PROMPTS = 20
_FEW_PAIRS = 100

# Texts above this are long; a few of them should not set the limit of all.
_LONG = 4096


def choose(choices: Choices, work: Workload, hours: float, *, own_eval: bool) -> None:
    """Make every choice, in the order in which they depend on each other.

    Args:
        hours: bound of the estimated time; 0 for none.
        own_eval: whether another file is evaluated on.

    Raises:
        StageError: there are too few prompts, or the model is too large for this machine.
    """
    shares(choices, work.data, own_eval=own_eval)
    max_length(choices, work)
    batch(choices, work.data)
    machine = work.machine
    choices.choose(
        "finetune.bf16",
        machine.bf16,
        "bfloat16" if machine.bf16 else "float32",
        f"products are faster so on this machine ({machine.name})",
    )
    weights_to_train(choices, work, hours)
    learning_rate(choices, work.base)
    bound_steps(choices, work, hours)
    held_out_rows(choices, work, hours)
    if machine.is_gpu:
        for stage in ("calibrate", "evaluate"):
            choices.set(f"{stage}.device", "cuda")


def shares(choices: Choices, data: Data, *, own_eval: bool) -> None:
    """Shares of prompts for evaluation and calibration that leave neither of them empty."""
    groups = data.groups
    if len(groups) < _MIN_PROMPTS:
        others = " that --eval does not have" if own_eval else ""
        raise StageError(
            f"{data.source.paths[0]} has pairs of {len(groups)} different prompts{others}, and "
            f"some are held out to calibrate and to evaluate: give at least {_MIN_PROMPTS}, better "
            "hundreds"
        )
    wanted = max(4, min(30, len(groups) // 10))
    for percent in range(5, 31):
        tuned = percent / 100
        evaluated = 0.0 if own_eval else max(0.1, tuned)
        tried = HoldOut(evaluation_share=evaluated, calibration_share=tuned)
        sides = [tried.split_of(group) for group in groups]
        parts = ["calibration"] if own_eval else ["calibration", "evaluation"]
        # Few prompts may all fall to one side by their hashes.
        if all(sides.count(part) >= wanted for part in parts):
            break
    choices.choose(
        "preferences.evaluation_share",
        evaluated,
        f"{evaluated:.0%} of prompts",
        "--eval has others"
        if own_eval
        else "held out for the report; a prompt is on one side with all its answers",
    )
    choices.choose(
        "preferences.calibration_share",
        tuned,
        f"{tuned:.0%} of prompts",
        "held out to calibrate the scores",
    )
    pairs = round(data.pairs * choices.hold_out.evaluation_share)
    if not own_eval and pairs < _FEW_PAIRS:
        choices.warnings.append(
            f"about {pairs} pairs are held out for the report: its interval will be wide"
        )


def max_length(choices: Choices, work: Workload) -> None:
    """Twice the longest text, so that the release takes somewhat longer ones, within the model.

    Raises:
        StageError: no pair fits.
    """
    tokens = sorted(work.data.tokens)
    longest, typical = tokens[-1], tokens[int(0.99 * (len(tokens) - 1))]
    if longest > _LONG and longest > 2 * typical:
        value, why = 128 * ceil(typical / 128), f"99 % of texts; the longest has {longest:,}"
    else:
        value = 256 * ceil(2 * longest / 256)
        why = f"twice the longest of a sample ({longest:,}); the release refuses longer texts"
    if value >= work.base.max_tokens:
        value, why = work.base.max_tokens, f"all that the model takes; the longest has {longest:,}"
    choices.choose("finetune.max_length", value, f"{value:,} tokens", why)
    limit = choices.finetune.max_length or work.base.max_tokens
    lost = work.data.lost_pairs(limit)
    if lost == 1:
        raise StageError(
            f"no pair of {work.data.source.paths[0]} fits into {limit:,} tokens, and the model "
            f"takes {work.base.max_tokens:,}: take a base with a longer context, or shorter texts"
        )
    if lost:
        choices.warnings.append(
            f"{lost:.1%} of pairs have a text of more than {limit:,} tokens: they are left out and "
            "counted, never cut"
        )


def batch(choices: Choices, data: Data) -> None:
    """About a hundred steps in a pass, with 4 to 64 prompts each."""
    rows = len(data.rows)
    prompts = 4
    while prompts < 64 and rows / (2 * prompts) >= 100:
        prompts *= 2
    why = f"{ceil(rows / prompts):,} steps in a pass over {rows:,} rows"
    choices.choose("finetune.prompts_per_step", prompts, f"{prompts} prompts", why)


def learning_rate(choices: Choices, base: Base) -> None:
    """Smaller for larger models; adapters take ten times as much, a trained head half."""
    rate, size = 1e-5, "1 B or more"
    if base.parameters < 3e8:
        rate, size = 3e-5, "less than 300 M"
    elif base.parameters < 1e9:
        rate, size = 2e-5, "300 M to 1 B"
    why = f"usual for {size} parameters"
    if choices.finetune.lora:
        rate, why = 10 * rate, f"{why}, ten times as much for adapters"
    if base.has_head:
        rate, why = rate / 2, f"{why}, half of it because the base is a reward model already"
    choices.choose("finetune.learning_rate", rate, f"{rate:g}", why)
