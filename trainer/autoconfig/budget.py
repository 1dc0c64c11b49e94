"""What memory and time allow: which weights are trained, in how many steps, and what is scored."""

from math import ceil

from trainer.autoconfig.choice import Choice, Choices
from trainer.autoconfig.workload import Workload
from trainer.pipeline.stage import StageError
from trainer.training.config import LoraAdapters

# Share of the memory at hand that a run may take by the estimate.
_ROOM = 0.7

# Shares of the time that training and the scoring of held-out rows may take; what is left is for
# loading, for trying the end, and for the estimate's error.
_TRAINING = 0.6
_SCORING = 0.2

# Up to so many parameters all weights are trained where they fit.
_FULL = 1e9

# Rows of fewer than this are seen twice.
_FEW_ROWS = 2000

# Held-out rows whose accuracy says something, and as many as are scored where time is no matter.
_MIN_SCORED, _MAX_SCORED = 64, 1500


def weights_to_train(choices: Choices, work: Workload, hours: float) -> None:
    """Train all weights where they fit and a pass ends in time, and adapters otherwise.

    Raises:
        StageError: not even adapters fit.
    """
    base, machine = work.base, work.machine
    size, at_hand = f"{base.parameters / 1e6:,.0f} M parameters", f"{machine.memory / 1e9:.1f} GB"
    whole = Choices(choices.recipe.changed("finetune", lora=None), choices.given)
    fits = fit_memory(whole, work)
    needed = f"{work.memory(whole.planned) / 1e9:.1f} GB"
    steps = whole.finetune.max_steps or len(work.data.rows) / whole.finetune.prompts_per_step
    in_time = not hours or steps * work.step_seconds(whole.planned) <= _TRAINING * 3600 * hours
    if fits and in_time and base.parameters <= _FULL:
        why = f"{size} with their optimizer fit into the {at_hand} that are free"
        choices.choose("finetune.lora", None, "all weights", why)
    else:
        why = f"{size}: all weights would need {needed} of the {at_hand} that are free"
        if fits and not in_time:
            why = f"{size}: with all weights a pass would not end within {hours:g} h"
        elif fits:
            why = f"{size}: adapters learn a preference as well, and forget less"
        choices.choose("finetune.lora", LoraAdapters(), "adapters (LoRA, rank 16)", why)
    if not fit_memory(choices, work):
        raise StageError(
            f"{base.start} needs about {work.memory(choices.planned) / 1e9:.1f} GB to be trained "
            f"like this, and {at_hand} are free, of which {_ROOM:.0%} are counted on: free some, "
            "take a smaller base, or shorter texts with --set finetune.max_length=N"
        )
    parts = choices.finetune.gradient_accumulation_steps
    how = f"estimate, of {at_hand} that are free"
    if parts > 1:
        how += f"; a step is computed in {parts} parts"
    if choices.finetune.gradient_checkpointing:
        how += ", with gradient checkpointing"
    shown = f"{work.memory(choices.planned) / 1e9:.1f} GB"
    choices.made.append(Choice("memory", shown, how))


def fit_memory(choices: Choices, work: Workload) -> bool:
    """Divide a step into micro-batches until it fits, and then also drop activations."""
    prompts = choices.finetune.prompts_per_step
    for checkpointing in (False, True):
        for parts in (n for n in range(1, prompts + 1) if prompts % n == 0):
            choices.set("finetune.gradient_accumulation_steps", parts)
            choices.set("finetune.gradient_checkpointing", checkpointing)
            if work.memory(choices.planned) <= _ROOM * work.machine.memory:
                return True
    return False


def bound_steps(choices: Choices, work: Workload, hours: float) -> None:
    """Passes over the rows, and fewer steps than one pass where it would take too long."""
    hold_out = choices.hold_out
    held = hold_out.evaluation_share + hold_out.calibration_share
    rows = max(1, round(len(work.data.rows) * (1 - held)))
    step, allowed = work.step_seconds(choices.planned), _TRAINING * 3600 * hours
    per_pass = ceil(rows / choices.finetune.prompts_per_step)
    epochs, why = 1.0, "more passes over so many rows tend to overfit"
    if rows < _FEW_ROWS:
        epochs, why = 2.0, f"{rows:,} rows are few"
    if hours and epochs * per_pass * step > allowed:
        epochs, why = 1.0, f"more would not end within {hours:g} h"
    if not choices.finetune.max_steps:
        choices.choose("finetune.num_train_epochs", epochs, f"{epochs:g}", why)
    steps = choices.finetune.max_steps or round(per_pass * choices.finetune.num_train_epochs)
    if choices.finetune.max_steps:
        choices.choose("finetune.max_steps", None, "", "")
    elif hours and step * steps > allowed and "finetune.num_train_epochs" not in choices.given:
        steps = max(1, int(allowed / step))
        share = steps * choices.finetune.prompts_per_step / rows
        why = f"{share:.0%} of the rows, in about {hours:g} h for all; --hours 0 takes every row"
        choices.choose("finetune.max_steps", steps, f"{steps:,}", why)
    choices.set("finetune.logging_steps", max(1, min(10, steps // 20)))
    choices.seconds["training"] = step * steps


def held_out_rows(choices: Choices, work: Workload, hours: float) -> None:
    """As many held-out rows as can be scored in their part of the time."""
    row, rows = work.score_seconds, len(work.data.rows)
    limit = _MAX_SCORED
    if hours:
        # Two parts are scored at the end: one for calibration, one for the report.
        limit = max(_MIN_SCORED, min(limit, int(_SCORING / 2 * 3600 * hours / row)))
    why = "of each held-out part"
    if limit < _MAX_SCORED:
        why += f", which are scored within {hours:g} h"
    choices.choose("preferences.max_held_out", limit, f"{limit:,} rows at most", why)
    hold_out = choices.hold_out
    most = hold_out.max_held_out or rows
    evaluated = min(most, ceil(rows * (hold_out.evaluation_share or 1.0)))
    tuned = min(most, ceil(rows * hold_out.calibration_share))
    config = choices.finetune
    steps = max(1, round(choices.seconds["training"] / work.step_seconds(choices.planned)))
    # As the stage draws them: a twentieth of the rows that are trained on, and at least 32.
    drawn = min(config.max_eval_samples, max(32, steps * config.prompts_per_step // 20), evaluated)
    times = max(1, min(5, steps, int(0.15 * choices.seconds["training"] / (drawn * row))))
    choices.set("finetune.eval_steps", round(1 / times, 2) if times > 1 else 0.5)
    choices.seconds["held-out accuracy on the way"] = max(2, times) * drawn * row
    choices.seconds["calibration and report"] = (evaluated + tuned) * row + 30
    choices.seconds["loading, trying the end, release"] = 40 + work.base.parameters * 2e-7
