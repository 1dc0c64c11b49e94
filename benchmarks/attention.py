"""Our compiled kernels of attention over a packed tree beside torch's, on a CPU.

    python -m benchmarks.attention [--repeats 20]

One layer's attention in float32, 8 heads of 64 numbers on 4 of keys and values, as it scores and as
it trains, forward and backward; both take turns. Operations are counted for the pairs of tokens
that see each other, so what a kernel computes in vain counts against it. The limit is torch's
product of two large matrices on the same threads.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.harness.page import Cell, Page, add_output_options, dot_plot
from benchmarks.harness.stats import ratio
from reward_model.attention.compiled import TreeKernel, TreeMask, tree_kernel
from reward_model.attention.compiled_gradient import TrainingKernels, training_kernels
from reward_model.attention.flash_cpu import FlashPlan, attend_flash
from reward_model.attention.sdpa import AttentionParams, SdpaPlan, attend_sdpa
from reward_model.packing import Packed, Sequence, pack

_HEADS, _KEY_HEADS, _WIDTH = 8, 4, 64
_TREES = ((100, 16, 150), (600, 16, 150), (2000, 16, 150), (0, 5, 750), (0, 1, 256))
"""Tokens of a prompt, candidates of it, tokens of a candidate."""

_TRAINED_TREES = ((150, 4, 120), (300, 5, 200), (0, 1, 1000))

_PARAMS = AttentionParams(None, None, None)
_SIDE = 2048
_TOLERANCE = 1e-4
_FASTEST = "compiled"


@dataclass(frozen=True)
class Measured:
    """Seconds of every turn; `work` is in operations."""

    tree: str
    kernel: str
    work: float
    seconds: list[float]

    @property
    def rate(self) -> float:
        """10^9 operations per second, median over turns."""
        return self.work / statistics.median(self.seconds) / 1e9


@torch.inference_mode()
def main() -> None:
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    kernel, trained = tree_kernel(), training_kernels()
    if kernel is None or trained is None:
        raise SystemExit("no kernel is compiled for this processor: scripts/build-kernels")
    page = Page("attention", "Attention over a packed tree on a CPU")
    limit = _limit(options.repeats)
    found = [each for tree in _TREES for each in _measure(tree, kernel, options.repeats)]
    training = [
        each
        for tree in _TRAINED_TREES
        for each in _measure_training(tree, trained, options.repeats)
    ]
    _report(page, found, training, limit, options.repeats)
    page.figure = plot(found, limit)
    page.write(options)


def tree_of(prompt: int, candidates: int, length: int) -> Packed:
    """Every candidate begins in a way of its own."""
    texts = [tuple(range(prompt)) + (prompt + index,) * length for index in range(candidates)]
    return pack([Sequence(text, ()) for text in texts])


def pairs(packed: Packed) -> int:
    """Pairs of tokens that attend to each other, each token's pair with itself among them."""
    return sum(position + 1 for position in packed.positions)


def _measure(shape: tuple[int, int, int], kernel: TreeKernel, repeats: int) -> list[Measured]:
    packed = tree_of(*shape)
    query, key, value = _heads(packed)
    mask, plan = TreeMask.of(packed), FlashPlan.of(packed)
    kernels: dict[str, Callable[[], Tensor]] = {
        _FASTEST: lambda: kernel.attend(query, key, value, mask, _PARAMS),
        "torch's flash": lambda: attend_flash(query, key, value, plan, None),
    }
    # Two products of two operations each: with keys, and with values.
    return _in_turns(shape, 4.0 * _HEADS * _WIDTH * pairs(packed), kernels, repeats)


@torch.inference_mode(mode=False)
def _measure_training(
    shape: tuple[int, int, int], kernels: TrainingKernels, repeats: int
) -> list[Measured]:
    packed = tree_of(*shape)
    inputs = [part.requires_grad_() for part in _heads(packed)]
    query, key, value = inputs
    mask, plan = TreeMask.of(packed), SdpaPlan.of(packed.segments)
    gradient = torch.randn(query.shape)

    def ours() -> Tensor:
        return _gradients(kernels.attend(query, key, value, mask, _PARAMS), inputs, gradient)

    def by_segments() -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            attended = attend_sdpa(query, key, value, plan, _PARAMS)
            return _gradients(attended, inputs, gradient)

    # Five more products: the weights again, and gradients of weights, queries, keys and values.
    work = 14.0 * _HEADS * _WIDTH * pairs(packed)
    return _in_turns(shape, work, {_FASTEST: ours, "torch's segments": by_segments}, repeats)


def _gradients(attended: Tensor, inputs: list[Tensor], gradient: Tensor) -> Tensor:
    return torch.cat(torch.autograd.grad(attended, inputs, gradient), dim=1)


def _heads(packed: Packed) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value as views of one product, as layers make them."""
    product = torch.randn(1, len(packed.ids), _HEADS + 2 * _KEY_HEADS, _WIDTH).transpose(1, 2)
    query, key, value = product.split([_HEADS, _KEY_HEADS, _KEY_HEADS], dim=1)
    return query, key, value


def _in_turns(
    shape: tuple[int, int, int],
    work: float,
    kernels: dict[str, Callable[[], Tensor]],
    repeats: int,
) -> list[Measured]:
    torch.testing.assert_close(
        *(attend() for attend in kernels.values()), atol=_TOLERANCE, rtol=_TOLERANCE
    )
    seconds: dict[str, list[float]] = {name: [] for name in kernels}
    for _, name in itertools.product(range(repeats), kernels):
        seconds[name].append(_seconds(kernels[name]))
    name = "P={}, N={}, C={}".format(*shape)
    return [Measured(name, kernel, work, each) for kernel, each in seconds.items()]


def _limit(repeats: int) -> float:
    """10^9 operations per second of a product of matrices."""
    left, right = torch.randn(2, _SIDE, _SIDE)
    turns = [_seconds(lambda: left @ right) for _ in range(repeats + 1)][1:]
    return 2 * _SIDE**3 / statistics.median(turns) / 1e9


def _seconds(work: Callable[[], Tensor]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _report(
    page: Page, found: list[Measured], training: list[Measured], limit: float, repeats: int
) -> None:
    page.say(
        f"One layer, {_HEADS} heads of {_WIDTH} on {_KEY_HEADS} of keys and values, float32, "
        f"{torch.get_num_threads()} threads, median of {repeats} turns in which kernels alternate. "
        "P, N, C: tokens of a prompt, candidates of it, tokens of a candidate. GFLOP/s count the "
        "pairs of tokens that see each other. torch's kernels are called as this project calls "
        "them where nothing is compiled: flash as `reward_model/attention/flash_cpu.py` does, and "
        "in training, forward and backward, plain products segment by segment as `sdpa.py` does. "
        f"The limit is torch's product of two {_SIDE} x {_SIDE} matrices: {limit:.0f} GFLOP/s."
    )
    for measured in (found, training):
        other = measured[1].kernel
        rows: list[list[Cell]] = []
        for ours, theirs in zip(measured[::2], measured[1::2], strict=True):
            rates = [f"{each.rate:.0f}" for each in (ours, theirs)]
            shares = [f"{each.rate / limit:.2f}" for each in (ours, theirs)]
            times = ratio(theirs.seconds, ours.seconds)
            rows.append([ours.tree, *rates, *shares, str(times)])
        page.table(
            [
                "scoring" if measured is found else "training", f"{_FASTEST}, GFLOP/s", other,
                f"{_FASTEST}, share of the limit", other, "times as fast",
            ],
            rows,
        )  # fmt: skip
    facts = [asdict(each) for each in found], [asdict(each) for each in training]
    page.facts |= {"limit": limit, "kernels": facts[0], "training": facts[1]}


def plot(found: list[Measured], limit: float) -> Figure:
    """Rates of both, a group for each tree, under the limit."""
    series = {
        kernel: [(each.tree, each.rate) for each in found if each.kernel == kernel]
        for kernel in dict.fromkeys(each.kernel for each in found)
    }
    figure = dot_plot("GFLOP/s", series)
    (axes,) = figure.axes
    axes.axvline(limit, linestyle="--", color="grey", label="product of matrices")
    axes.legend()
    return figure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attention", description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
