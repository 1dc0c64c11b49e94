"""All parts, the most valuable first, and the most that each may take of nine minutes.

A machine that is lent for minutes may go away at any moment: what would be worst not to know comes
first. Is it right at all, what is the limit, how far from it is the forward, and then the rest.
"""

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module

from benchmarks.gpu_day.day import Part, Row, Setting

MODULES = tuple(
    f"benchmarks.gpu_day.{name}"
    for name in ("attention", "ceiling", "forward", "parity", "recipe", "served", "training")
)
"""Modules that measure. Only the process of a part imports one, because that takes seconds."""


def run_module(setting: Setting, module: str, size_name: str | None) -> Iterator[Row]:
    """Run the part that is in a module of this folder."""
    sizes = () if size_name is None else (size_name,)
    yield from import_module(f"benchmarks.gpu_day.{module}").run(setting, *sizes)


_PACKED = (
    "Random weights in the shape of Qwen2.5. Padded: transformers with SDPA, right padding, a "
    "mask; the best batch size counts. Scored tokens: of all texts, a shared prompt as often as it "
    "occurs. The limit: the measured matrix product's speed over the operations of the forward."
)
_SERVED = (
    "Over HTTP, and the same requests through the same forward in a loop, encoded beforehand. The "
    "gap is the largest between a served and a looped score."
)


def _measure(module: str, size_name: str | None = None) -> Callable[[Setting], Iterator[Row]]:
    return partial(run_module, module=module, size_name=size_name)


PARTS = (
    Part(
        "ceiling",
        "The speed of one large matrix product, and of copying memory on the device.",
        30,
        _measure("ceiling"),
    ),
    Part("forward 0.5B", _PACKED, 60, _measure("forward", "0.5B")),
    Part(
        "parity",
        "Packed scores against transformers, one text at a time, relative to the largest score. "
        "Rounding: how far the plain score in this dtype is from the plain one in float32. "
        "Compiled: graphs of torch.compile, and those made again for batches of other sizes, "
        "which should be none. Waits: how often the host waits for the device before it reads "
        "the scores. NaN spread: texts whose score another text's NaN changed; in the kernel, "
        "before those are scored again apart.",
        150,
        _measure("parity"),
    ),
    Part("forward 7B", _PACKED, 75, _measure("forward", "7B"), repeats=True),
    Part("served 0.5B", _SERVED, 90, _measure("served", "0.5B")),
    Part(
        "training 0.5B",
        "The same rows and network, AdamW, no language-model loss; the median step after one that "
        "warms up.",
        90,
        _measure("training", "0.5B"),
    ),
    Part("forward 1.5B", _PACKED, 45, _measure("forward", "1.5B"), repeats=True),
    Part(
        "attention",
        "One layer's attention over texts that share nothing: FlexAttention under the tree's block "
        "mask, and torch's variable-length flash attention.",
        30,
        _measure("attention"),
    ),
    Part("served 1.5B", _SERVED, 75, _measure("served", "1.5B"), repeats=True),
    Part("served 7B", _SERVED, 150, _measure("served", "7B"), repeats=True),
    Part(
        "recipe",
        "A recipe that trains for the minutes that are left, where its data lies.",
        3600,
        _measure("recipe"),
    ),
)
