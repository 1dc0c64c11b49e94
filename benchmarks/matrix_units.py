"""float32 products on a CPU's bfloat16 matrix unit beside torch's and oneDNN's, and their errors.

    python -m benchmarks.matrix_units [--repeats 20]

Linear layers of a small and a middle-sized language model, at the rows of one short request and of
full batches; all kernels take turns. Without AMX it prints so, and measures the others.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.harness.page import Cell, Page, add_output_options
from benchmarks.harness.stats import ratio
from reward_model.cpu.bf16x3_linear import Bf16x3Linear
from reward_model.cpu.matrix_units import MatrixUnitsUnavailable, bf16x3_kernel
from reward_model.cpu.onednn_linear import OneDnnLinear, runs_on_onednn

_SHAPES = (
    *((rows, 576, 1536) for rows in (256, 2944, 4096)),
    (2944, 576, 576), (2944, 1536, 576), (2944, 512, 2048),
    (2944, 896, 4864), (2944, 4864, 896), (4096, 896, 4864),
)  # fmt: skip
"""Rows, inner elements and columns of a product."""

_UNIT = "matrix unit"
_SINGLE = "torch, bfloat16"

# Rows whose products are compared with those of float64.
_CHECKED = 256


@dataclass(frozen=True)
class Measured:
    """Seconds of every turn, and errors as shares of the results' standard deviation."""

    shape: tuple[int, int, int]
    kernel: str
    error: float
    seconds: list[float]

    @property
    def rate(self) -> float:
        """10^9 operations of a float32 product per second, median over turns."""
        count, inner, columns = self.shape
        return 2 * count * inner * columns / statistics.median(self.seconds) / 1e9


@torch.inference_mode()
def main() -> None:
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    page = Page("matrix-units", "float32 products on a bfloat16 matrix unit")
    try:
        bf16x3_kernel()
    except MatrixUnitsUnavailable as error:
        page.say(f"No matrix unit here: {error}. The other kernels are measured alone.")
    shapes = _SHAPES[: options.shapes]
    found = [measured for shape in shapes for measured in _measure(shape, options.repeats)]
    page.say(
        f"{torch.get_num_threads()} threads, median of {options.repeats} turns in which kernels "
        "alternate. GFLOP/s count a float32 product's operations, also where three products of "
        f"bfloat16 stand for it. Errors are the largest ones of {_CHECKED} rows against float64, "
        "over the standard deviation of the results; `times` is the speed over torch's."
    )
    rows: list[list[Cell]] = []
    for _, group in itertools.groupby(found, key=lambda each: each.shape):
        each = list(group)
        for one in each:
            name = "{} x {} x {}".format(*one.shape)
            times = str(ratio(each[0].seconds, one.seconds))
            rows.append([name, one.kernel, f"{one.rate:.0f}", f"{one.error:.1e}", times])
    page.table(["rows x inner x columns", "kernel", "GFLOP/s", "error", "times"], rows)
    page.facts |= {"kernels": [asdict(each) | {"rate": each.rate} for each in found]}
    page.write(options)


def _measure(shape: tuple[int, int, int], repeats: int) -> list[Measured]:
    """All kernels that run here on one shape, torch's in float32 first."""
    count, inner, columns = shape
    torch.manual_seed(0)
    weight, rows = torch.randn(columns, inner) / inner**0.5, torch.randn(count, inner)
    exact = rows[:_CHECKED].double() @ weight.double().T
    low = weight.bfloat16()
    kernels: dict[str, Callable[[], Tensor]] = {
        "torch": lambda: functional.linear(rows, weight),
        _SINGLE: lambda: functional.linear(rows.bfloat16(), low).float(),
    }
    if runs_on_onednn(weight):
        onednn = OneDnnLinear(weight, None)
        kernels["oneDNN"] = lambda: onednn(rows)
    try:
        unit = Bf16x3Linear(bf16x3_kernel(), weight, None)
        kernels[_UNIT] = lambda: unit(rows)
    except MatrixUnitsUnavailable:
        pass
    # The first products compile, fill caches and grow the memory that malloc keeps.
    errors = {
        name: float((product()[:_CHECKED] - exact).abs().max() / exact.std())
        for name, product in kernels.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in kernels}
    for _, name in itertools.product(range(repeats), kernels):
        started = time.perf_counter()
        kernels[name]()
        seconds[name].append(time.perf_counter() - started)
    return [Measured(shape, name, errors[name], each) for name, each in seconds.items()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matrix_units", description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--shapes", type=int, default=len(_SHAPES), help="only the first ones")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
