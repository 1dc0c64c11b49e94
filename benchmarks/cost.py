"""Measures a request's time over its tokens: 1 to 256 candidates, prompts of 50 to 4000 tokens.

    python -m benchmarks.cost --data ../shared/data

One request is one packed batch. Two models are fitted to the medians by least squares of relative
residuals: a constant and the tokens computed, P + sum of C; and, beside them, the pairs of tokens
that attend.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure
from transformers.utils import logging as transformers_logging

from benchmarks.harness.page import Cell, Page, add_output_options
from benchmarks.harness.processes import run_as_served
from benchmarks.harness.stats import Fit, fit
from benchmarks.inputs.checkpoint import add_checkpoint_options, make_checkpoint
from benchmarks.inputs.texts import Renderer, Texts, load_renderer
from benchmarks.inputs.traces import best_of
from reward_model.network import RewardNetwork
from reward_model.packing import Packed, pack
from reward_model.release.release import open_release

_PROMPTS = (50, 200, 600, 1500, 4000)
_CANDIDATES = (1, 4, 16, 64, 256)


@dataclass(frozen=True)
class Point:
    """One request: its size, and the median seconds of scoring it.

    `tokens` are those computed, a shared one once; `pairs` are of tokens that attend to each other.
    """

    prompt: int
    candidates: int
    tokens: int
    sent: int
    pairs: int
    seconds: float


def main() -> None:
    options = _options()
    run_as_served()
    transformers_logging.disable_progress_bar()
    page = Page("cost", "Cost of a request over its tokens")
    with TemporaryDirectory() as folder:
        model = options.model or make_checkpoint(Path(folder), options.hidden, options.layers)
        network = RewardNetwork.load(
            open_release(model), device=options.device, dtype=options.dtype
        )
        points = list(_measure(network, load_renderer(model), options))
    _introduce(page, options)
    tokens_only, with_pairs = fits(points)
    _report(page, points, tokens_only)
    _report_fits(page, tokens_only, with_pairs)
    page.figure = plot(points, tokens_only)
    page.write(options)


def _measure(
    network: RewardNetwork, renderer: Renderer, options: argparse.Namespace
) -> Iterator[Point]:
    """Every size in every turn, so that a machine that slows down slows all of them."""
    writer = renderer.writer(options.data)
    sizes = [(prompt, count) for prompt in options.prompts for count in options.candidates]
    seconds: dict[tuple[int, int], list[float]] = {size: [] for size in sizes}
    requests: dict[tuple[int, int], Texts] = {}
    for turn in range(options.repeats):
        for size in sizes:
            rng = random.Random(f"{size} {options.seed}")
            requests[size] = texts = renderer.texts(best_of(writer, rng, *size))
            if turn == 0:
                network.score(list(texts.sequences)[:2])  # warms up memory and kernels
            seconds[size].append(_seconds(network, texts))
    for size in sizes:
        yield _point(size, requests[size], statistics.median(seconds[size]))


def _seconds(network: RewardNetwork, texts: Texts) -> float:
    started = time.perf_counter()
    network.score(list(texts.sequences))
    return time.perf_counter() - started


def _point(size: tuple[int, int], texts: Texts, seconds: float) -> Point:
    packed = pack(list(texts.sequences))
    return Point(*size, len(packed.ids), texts.tokens, attended_pairs(packed), seconds)


def attended_pairs(packed: Packed) -> int:
    """A token attends to itself and to all before it in its own text."""
    return sum(position + 1 for position in packed.positions)


def fits(points: list[Point]) -> tuple[Fit, Fit]:
    """Seconds over tokens computed, and over tokens and pairs."""
    seconds = [point.seconds for point in points]
    return (
        fit([[1.0, point.tokens] for point in points], seconds),
        fit([[1.0, point.tokens, point.pairs] for point in points], seconds),
    )


def _introduce(page: Page, options: argparse.Namespace) -> None:
    size = f"hidden size {options.hidden}, {options.layers} layers"
    what = options.model.name if options.model else f"A random Qwen2-shaped checkpoint ({size})"
    page.say(
        f"{what}, {options.dtype} on {options.device}. P tokens of prompt, N candidates of 75 to "
        f"225 tokens, real text, scored as one packed batch; median of {options.repeats} turns."
    )


def _report(page: Page, points: list[Point], found: Fit) -> None:
    rows: list[list[Cell]] = []
    for point in points:
        predicted = found.at([1.0, point.tokens])
        off = f"{(point.seconds - predicted) / point.seconds:+.0%}"
        each = f"{point.seconds / point.tokens * 1e6:.0f}"
        times = [f"{point.seconds * 1000:.0f}", each, off]
        rows.append([point.prompt, point.candidates, point.sent, point.tokens, *times])
    head = ["tokens sent", "tokens computed", "ms", "us a computed token", "off the line"]
    page.table(["P", "N", *head], rows)
    page.facts["points"] = [asdict(point) for point in points]


def _report_fits(page: Page, tokens_only: Fit, with_pairs: Fit) -> None:
    a, b = tokens_only.coefficients
    line = f"{a * 1000:.1f} ms + {b * 1e6:.0f} us x (P + sum C)"
    a, b, c = with_pairs.coefficients
    curve = f"{a * 1000:.1f} ms + {b * 1e6:.0f} us x (P + sum C) + {c * 1e9:.1f} ns x pairs"
    page.table(
        ["model of the cost", "R2", "largest residual, of what was measured"],
        [
            [line, f"{tokens_only.r_squared:.4f}", f"{tokens_only.worst:.0%}"],
            [curve, f"{with_pairs.r_squared:.4f}", f"{with_pairs.worst:.0%}"],
        ],
    )
    page.say(
        "Least squares of residuals relative to what was measured. Pairs: every token with itself "
        "and each one before it in its own text."
    )
    page.facts |= {"tokens": asdict(tokens_only), "tokens_and_pairs": asdict(with_pairs)}


def plot(points: list[Point], found: Fit) -> Figure:
    """Milliseconds over tokens computed, a colour for each P, and the fitted line."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for prompt in dict.fromkeys(point.prompt for point in points):
        mine = [point for point in points if point.prompt == prompt]
        xs, ys = [point.tokens for point in mine], [point.seconds * 1000 for point in mine]
        axes.plot(xs, ys, "o", label=f"P={prompt}")
    ends = sorted(point.tokens for point in points)
    line = [1000 * found.at([1.0, tokens]) for tokens in ends]
    axes.plot(ends, line, color="grey", linewidth=1)
    axes.set(xlabel="tokens computed", ylabel="ms", xscale="log", yscale="log")
    axes.legend()
    return figure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    add_checkpoint_options(parser)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--prompts", nargs="+", type=int, default=list(_PROMPTS), metavar="P")
    parser.add_argument("--candidates", nargs="+", type=int, default=list(_CANDIDATES), metavar="N")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
