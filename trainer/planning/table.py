"""A plan as text: a table, and the assumptions that it rests on."""

from datetime import timedelta

from trainer.planning.gpus import Devices
from trainer.planning.plan import StagePlan

_HEAD = f"{'stage':<12}{'tokens':>9}{'PFLOPs':>10}{'GB/device':>11}{'time':>17}{'disk GB':>9}"


def render(plans: list[StagePlan], devices: Devices) -> str:
    """The table with a line for each stage and a total, then assumptions, notes and memory."""
    lines = [_HEAD]
    for p in plans:
        tokens, flops, held, took = "-", "-", "-", "-"
        if p.flops:
            tokens, flops = short_count(p.tokens), f"{p.flops / 1e15:.3g}"
            held = f"{p.memory.total / 1e9 if p.memory else 0.0:.2f}"
            took = duration(p.seconds)
        disk = f"{p.disk / 1e9:.2f}"
        lines.append(f"{p.stage:<12}{tokens:>9}{flops:>10}{held:>11}{took:>17}{disk:>9}")
    seconds, disk_bytes = sum(p.seconds for p in plans), sum(p.disk for p in plans)
    lines += [
        f"{'all':<12}{'':>30}{duration(seconds):>17}{disk_bytes / 1e9:>9.2f}",
        "",
        f"On {devices.count} x {devices.gpu.name}, at {devices.mfu:.0%} of "
        f"{devices.gpu.flops / 1e12:g} TFLOP/s each, weights and states sharded over all of them.",
        "Not counted: reading, downloads, stages without a model, the framework's own memory.",
    ]
    lines += [f"  {p.stage}: {'; '.join(p.notes)}" for p in plans]
    for p in plans:
        if p.memory:
            parts = {
                "weights": p.memory.weights,
                "gradients": p.memory.gradients,
                "optimizer": p.memory.optimizer,
                "activations": p.memory.activations,
            }
            sizes = (f"{name} {size / 1e9:.2f} GB" for name, size in parts.items() if size)
            lines.append(f"  {p.stage}: {', '.join(sizes)}")
    return "\n".join(lines)


def short_count(number: float) -> str:
    """A count with one decimal and a suffix for thousands, millions, billions or trillions."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))) if seconds >= 1 else "< 1 s"
