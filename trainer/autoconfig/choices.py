"""Chooses what a user left open: adapters or all weights, lengths, batch, rate, passes, hold-out.

Each choice is a field of the recipe `finetune` with its reason, and a field that the user has set
stays as it is.
"""

from dataclasses import dataclass, field
from math import ceil

from trainer.autoconfig.base import Base
from trainer.autoconfig.data import Data
from trainer.autoconfig.machine import Machine
from trainer.pairs.split import HoldOut
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stage import StageError
from trainer.planning.cost import TokenCounts, forward_flops, training_flops, training_memory
from trainer.planning.run import TrainingRun, training_run
from trainer.training.config import LoraAdapters
from trainer.training.finetune import FinetuneConfig

# Share of the memory at hand that a run may take by the estimate.
_ROOM = 0.7

# A fifth of the time is left for evaluations, calibration, the report and the release.
_TRAINING_SHARE = 0.75

# With adapters no gradients of the frozen weights are computed: two of six FLOPs a weight.
_ADAPTERS_COST = 2 / 3

# Up to so many parameters, all weights learn more than adapters and cost little more.
_FULL = 1e9

# Prompts without which nothing can be held out, and pairs below which a figure says little.
MIN_PROMPTS = 20
_FEW_PAIRS = 100


@dataclass(frozen=True)
class Choice:
    """A field with its value and why, for the table."""

    name: str
    value: str
    why: str


@dataclass
class Choices:
    """A recipe whose open fields are being chosen.

    Attributes:
        given: fields that the user has set, as `STAGE.FIELD`.
        warnings: what the user should know before training.
        seconds: estimated time of each part.
    """

    recipe: Recipe
    given: frozenset[str]
    made: list[Choice] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def finetune(self) -> FinetuneConfig:
        config = self.recipe["finetune"].config
        assert isinstance(config, FinetuneConfig)
        return config

    @property
    def planned(self) -> TrainingRun:
        run = training_run(self.finetune)
        assert run
        return run

    def choose(self, path: str, value: object, shown: str, why: str) -> None:
        """Set a field, unless the user has."""
        stage, name = path.split(".")
        if path in self.given:
            value, why = getattr(self.recipe[stage].config, name), "you said so"
            shown = f"{value}"
        else:
            self.recipe = self.recipe.changed(stage, **{name: value})
        self.made.append(Choice(name, shown, why))


def choose(
    choices: Choices, base: Base, data: Data, machine: Machine, hours: float, *, own_eval: bool
) -> None:
    """Make every choice in the order in which they depend on each other.

    Args:
        hours: bound of the estimated time; 0 for none.
        own_eval: whether another file is evaluated on.

    Raises:
        StageError: there are too few prompts, or the model is too large for this machine.
    """
    hold_out(choices, data, own_eval=own_eval)
    max_length(choices, base, data)
    batch(choices, data)
    choices.choose(
        "finetune.bf16",
        machine.bf16,
        "bfloat16" if machine.bf16 else "float32",
        f"products are faster so on this machine ({machine.name})",
    )
    weights_to_train(choices, base, data, machine, hours)
    learning_rate(choices, base)
    passes(choices, base, data, machine, hours)
    held_out_rows(choices, base, data, machine, hours)


def hold_out(choices: Choices, data: Data, *, own_eval: bool) -> None:
    """Shares of prompts for evaluation and calibration that leave neither of them empty."""
    groups = data.groups
    if len(groups) < MIN_PROMPTS:
        raise StageError(
            f"{data.source.paths[0]} has pairs of {len(groups)} different prompts, and some are "
            f"held out to calibrate and to evaluate: give at least {MIN_PROMPTS}, better hundreds"
        )
    config = choices.recipe["preferences"].config
    assert isinstance(config, HoldOut)
    wanted = max(4, min(100, len(groups) // 10))
    for percent in range(5, 31):
        shares = HoldOut(
            evaluation_share=0.0 if own_eval else max(0.1, percent / 100),
            calibration_share=percent / 100,
        )
        sides = [shares.split_of(group) for group in groups]
        held = [sides.count("calibration")] + ([] if own_eval else [sides.count("evaluation")])
        if min(held) >= min(wanted, 30):
            break
    why = "a prompt is on one side with all its answers"
    choices.choose(
        "preferences.evaluation_share",
        shares.evaluation_share,
        f"{shares.evaluation_share:.0%} of prompts",
        "--eval has other prompts" if own_eval else f"held out for the report; {why}",
    )
    choices.choose(
        "preferences.calibration_share",
        shares.calibration_share,
        f"{shares.calibration_share:.0%} of prompts",
        "held out to calibrate scores",
    )
    pairs = len(data.rows) and data.pairs * shares.evaluation_share
    if not own_eval and pairs < _FEW_PAIRS:
        choices.warnings.append(
            f"about {pairs:.0f} pairs are held out for the report: its interval will be wide"
        )


def max_length(choices: Choices, base: Base, data: Data) -> None:
    """Twice the longest text, so that the release takes somewhat longer ones, within the model."""
    tokens = sorted(data.tokens)
    longest, typical = tokens[-1], tokens[min(len(tokens) - 1, int(0.99 * len(tokens)))]
    limit = base.max_tokens
    if longest > 4096 and longest > 2 * typical:
        value, why = 128 * ceil(typical / 128), f"99 % of texts; the longest has {longest:,}"
    else:
        value = 256 * ceil(2 * longest / 256)
        why = f"twice the longest of a sample ({longest:,}): the release refuses longer texts"
    if value >= limit:
        value, why = limit, f"the model takes no more; the longest text has {longest:,}"
    choices.choose("finetune.max_length", value, f"{value:,} tokens", why)
    if over := sum(each > value for each in tokens):
        choices.warnings.append(
            f"{over / len(tokens):.1%} of texts are longer than {value:,} tokens: their pairs are "
            "left out and counted, never cut"
        )


def batch(choices: Choices, data: Data) -> None:
    """About a hundred steps in a pass, with 4 to 64 prompts each."""
    rows = len(data.rows)
    prompts = 4
    while prompts < 64 and rows / (2 * prompts) >= 100:
        prompts *= 2
    why = f"{ceil(rows / prompts):,} steps in a pass over {rows:,} rows"
    choices.choose("finetune.prompts_per_step", prompts, f"{prompts} prompts", why)


def weights_to_train(
    choices: Choices, base: Base, data: Data, machine: Machine, hours: float
) -> None:
    """All weights where they fit and a whole pass ends in time, adapters otherwise."""
    size = f"{base.parameters / 1e6:,.0f} M parameters"
    full = choices.recipe.changed("finetune", lora=None)
    whole = Choices(full, choices.given)
    room = _ROOM * machine.memory
    fits = fit_memory(whole, base, data, room)
    needed = memory_of(whole, base, data) / 1e9
    in_time = not hours or pass_seconds(whole, base, data, machine) <= (
        _TRAINING_SHARE * 3600 * hours
    )
    at_hand = f"{machine.memory / 1e9:.1f} GB at hand"
    if "finetune.lora" in choices.given:
        choices.choose("finetune.lora", None, "", "")
    elif fits and in_time and base.parameters <= _FULL:
        why = f"{size} need about {needed:.1f} GB with their optimizer, of {at_hand}"
        choices.choose("finetune.lora", None, "all weights", why)
    else:
        why = f"{size}: all weights would need about {needed:.1f} GB, of {at_hand}"
        if fits and not in_time:
            why = f"{size}: with all weights a pass would take half as long again"
        elif fits:
            why = f"{size}: adapters learn a preference as well, and forget less"
        choices.choose("finetune.lora", LoraAdapters(), "adapters (LoRA, rank 16)", why)
    if not fit_memory(choices, base, data, room) and "finetune.lora" not in choices.given:
        raise StageError(
            f"{base.start} needs about {memory_of(choices, base, data) / 1e9:.1f} GB to be trained "
            f"with adapters, and {at_hand}: take a smaller base, a machine with more memory, or a "
            "smaller --set finetune.max_length"
        )
    steps = choices.finetune.gradient_accumulation_steps
    again = ", layers computed again" if choices.finetune.gradient_checkpointing else ""
    choices.made.append(
        Choice(
            "memory",
            f"{memory_of(choices, base, data) / 1e9:.1f} GB",
            f"estimated, of {at_hand}; a step in {steps} part{'s' if steps > 1 else ''}{again}",
        )
    )


def fit_memory(choices: Choices, base: Base, data: Data, room: float) -> bool:
    """Divide a step into micro-batches until it fits, and then also drop activations."""
    config = choices.finetune
    for checkpointing in (False, True):
        for parts in range(1, config.prompts_per_step + 1):
            if config.prompts_per_step % parts:
                continue
            tried = {
                "gradient_accumulation_steps": parts,
                "gradient_checkpointing": checkpointing,
            }
            tried = {n: v for n, v in tried.items() if f"finetune.{n}" not in choices.given}
            choices.recipe = choices.recipe.changed("finetune", **tried)
            if memory_of(choices, base, data) <= room:
                return True
    return False


def memory_of(choices: Choices, base: Base, data: Data) -> float:
    """Bytes of a step, with the longest of the sampled rows in its largest micro-batch."""
    config = choices.finetune
    longest = max(row_tokens(data), default=0.0)
    mean = data.lengths.computed()
    micro = config.prompts_per_step // config.gradient_accumulation_steps
    # One long row among others of the usual length.
    tokens = (longest + (micro - 1) * mean) * config.gradient_accumulation_steps
    return training_memory(base.shape, choices.planned, tokens, devices=1).total


def row_tokens(data: Data) -> list[float]:
    """Computed tokens of each sampled row: its prompt once, and all its answers."""
    return [
        float(
            row.prompt_tokens
            + sum(
                text.tokens - row.prompt_tokens
                for text in (row.chosen, *(rival.text for rival in row.rejected))
            )
        )
        for row in data.encoded
        if not row.refused
    ]


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


def passes(choices: Choices, base: Base, data: Data, machine: Machine, hours: float) -> None:
    """Passes over the rows, and a bound of steps where one takes longer than the time allows."""
    rows = len(data.rows)
    epochs, why = 1.0, "more passes learn the pairs by heart"
    if rows < 2000:
        epochs, why = 2.0, f"{rows:,} rows are few"
    per_pass = pass_seconds(choices, base, data, machine)
    allowed = _TRAINING_SHARE * 3600 * hours
    if hours and epochs * per_pass > allowed:
        epochs = 1.0
        why = "a second one would take longer than --hours allows"
    choices.choose("finetune.num_train_epochs", epochs, f"{epochs:g}", why)
    config = choices.finetune
    whole = ceil(rows / config.prompts_per_step * config.num_train_epochs)
    step = per_pass / max(1.0, rows / config.prompts_per_step)
    steps = config.max_steps or whole
    if hours and step * steps > allowed and "finetune.max_steps" not in choices.given:
        steps = max(1, int(allowed / step))
        covered = min(1.0, steps * config.prompts_per_step / rows)
        choices.choose(
            "finetune.max_steps",
            steps,
            f"{steps:,}",
            f"{covered:.0%} of the rows, which is what {hours:g} h allow; --hours 0 takes all",
        )
    elif config.max_steps:
        choices.choose("finetune.max_steps", None, f"{config.max_steps:,}", "you said so")
    choices.choose(
        "finetune.logging_steps",
        max(1, min(10, steps // 20)),
        f"{max(1, min(10, steps // 20))}",
        "steps between lines of the log",
    )
    choices.seconds["training"] = step * steps


def held_out_rows(choices: Choices, base: Base, data: Data, machine: Machine, hours: float) -> None:
    """As many held-out rows as can be scored in a tenth of the time."""
    tokens, seen = data.lengths.computed(), data.lengths.seen()
    row = forward_flops(base.shape, tokens, seen) / machine.flops
    limit = 1500
    if hours:
        limit = max(32, min(limit, int(0.05 * 3600 * hours / row)))
    choices.choose(
        "preferences.max_held_out",
        limit,
        f"{limit:,} rows at most",
        "of each held-out part" + (", so that scoring them ends in time" if limit < 1500 else ""),
    )
    config = choices.recipe["preferences"].config
    assert isinstance(config, HoldOut)
    held = min(config.max_held_out or 10**9, round(len(data.rows) * config.evaluation_share))
    tuned = min(config.max_held_out or 10**9, round(len(data.rows) * config.calibration_share))
    steps = choices.finetune.max_steps or len(data.rows) // choices.finetune.prompts_per_step
    trained = steps * choices.finetune.prompts_per_step
    evaluated = min(choices.finetune.max_eval_samples, max(32, trained // 20), held)
    choices.seconds["evaluations on the way"] = 5 * evaluated * row
    choices.seconds["calibration and report"] = (held + tuned) * row + 30
    choices.seconds["loading, trying the end, release"] = 30 + base.parameters * 1e-7


def pass_seconds(choices: Choices, base: Base, data: Data, machine: Machine) -> float:
    """Estimated time of one pass over all rows."""
    lengths, rows = data.lengths, len(data.rows)
    tokens = TokenCounts(rows * lengths.computed(), 0.0, rows * lengths.seen())
    config = choices.finetune
    flops = training_flops(base.shape, tokens, gradient_checkpointing=config.gradient_checkpointing)
    return flops * (_ADAPTERS_COST if config.lora else 1.0) / machine.flops
