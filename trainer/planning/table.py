"""A plan as text."""

from datetime import timedelta

from trainer.planning.gpus import Devices
from trainer.planning.plan import StagePlan

_HEAD = f"{'stage':<12}{'tokens':>9}{'PFLOPs':>10}{'GB/device':>11}{'time':>17}{'disk GB':>9}"


def text_of(plans: list[StagePlan], devices: Devices) -> str:
    """A table, then what it rests on."""
    seconds, disk = sum(p.seconds for p in plans), sum(p.disk for p in plans)
    total = f"{'all':<12}{'':>30}{_time(seconds):>17}{disk / 1e9:>9.2f}"
    notes = [f"  {p.stage}: {'; '.join(p.notes)}" for p in plans]
    memory = [f"  {p.stage}: {_memory(p)}" for p in plans if p.memory]
    return "\n".join([_HEAD, *map(_row, plans), total, "", *_assumptions(devices), *notes, *memory])


def _row(p: StagePlan) -> str:
    if not p.flops:
        return f"{p.stage:<12}{'-':>9}{'-':>10}{'-':>11}{'-':>17}{p.disk / 1e9:>9.2f}"
    held = p.memory.total / 1e9 if p.memory else 0.0
    return (
        f"{p.stage:<12}{_count(p.tokens):>9}{p.flops / 1e15:>10.3g}{held:>11.2f}"
        f"{_time(p.seconds):>17}{p.disk / 1e9:>9.2f}"
    )


def _assumptions(devices: Devices) -> list[str]:
    return [
        f"On {devices.count} x {devices.gpu.name}, at {devices.mfu:.0%} of "
        f"{devices.gpu.flops / 1e12:g} "
        "TFLOP/s each, weights and states sharded over all of them.",
        "Not counted: reading, downloads, stages without a model, the framework's own memory.",
    ]


def _memory(p: StagePlan) -> str:
    assert p.memory
    parts = {
        "weights": p.memory.weights,
        "gradients": p.memory.gradients,
        "optimizer": p.memory.optimizer,
        "activations": p.memory.activations,
    }
    return ", ".join(f"{name} {size / 1e9:.2f} GB" for name, size in parts.items() if size)


def _count(number: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))) if seconds >= 1 else "< 1 s"
