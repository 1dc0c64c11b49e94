"""The plan of `train` as text: what is read, what was chosen and why, time, disk and warnings."""

from datetime import timedelta
from pathlib import Path

from trainer.autoconfig.base import Base
from trainer.autoconfig.choice import Choices
from trainer.autoconfig.data import Data
from trainer.autoconfig.request import TrainRequest
from trainer.planning.cost import checkpoint_bytes


def table(
    request: TrainRequest, out: Path, base: Base, data: Data, held: Data | None, choices: Choices
) -> str:
    """The plan for the terminal."""
    lines = ["", *data.notes, *(held.notes if held else [])]
    lines += [f"{request.base}: {note}" for note in base.notes]
    lines.append("")
    width = max(len(each.name) for each in choices.made)
    wide = max(len(each.value) for each in choices.made)
    lines += [f"  {each.name:{width}}  {each.value:{wide}}  {each.why}" for each in choices.made]
    lines.append("")
    total = sum(choices.seconds.values())
    parts = ", ".join(f"{name} {_duration(took)}" for name, took in choices.seconds.items())
    lines.append(f"time: about {_duration(total)}, by a short measurement now ({parts})")
    lines.append(f"disk: up to {disk_bytes(base, choices) / 1e9:.1f} GB in {out}")
    lines += [f"warning: {each}" for each in choices.warnings]
    if data.bias.severity == "warning":
        lines.append(f"warning: {data.bias.check}: {data.bias.message}")
    return "\n".join(lines)


def disk_bytes(base: Base, choices: Choices) -> float:
    """Bytes of checkpoints, the trained checkpoint and the release."""
    released = 2.0 * base.parameters
    return 2 * released + checkpoint_bytes(base.shape, choices.planned)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
