"""Measures the cost of HTTP, queueing and encoding: tokens/s served, and of the forward alone.

    python -m benchmarks.overhead --data ../shared/data

The same requests go to a service of ours, as text, and, encoded before the clock starts, through
the same packed forward in a loop, in batches as full as the service's and with memory that stays
with the process as the service's does. Both take turns.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure
from transformers.utils import logging as transformers_logging

from benchmarks.harness import servers
from benchmarks.harness.load import Replay, replay
from benchmarks.harness.page import Cell, Page, add_output_options, dot_plot, verdict
from benchmarks.harness.processes import Running, run_as_served, running, terminable
from benchmarks.harness.stats import ratio
from benchmarks.inputs.checkpoint import add_checkpoint_options, make_checkpoint
from benchmarks.inputs.dialects import DIALECTS
from benchmarks.inputs.texts import Renderer, Texts, load_renderer
from benchmarks.inputs.traces import describe, make_trace
from reward_model.network import RewardNetwork
from reward_model.packing import Sequence, new_tokens
from reward_model.release.release import open_release

BATCH_TOKENS = 4096
"""The service's --max-batch-tokens on a CPU unless told."""

_AIM = 0.9
_AT_ONCE = 8
_TRACES = {"best-of-16 P=100": 12, "best-of-16 P=600": 12, "rollouts": 128}
"""How many requests of each there are unless told."""

_WARM_UP = -1
"""A turn of a few requests that does not count."""

_TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}


@dataclass(frozen=True)
class Turn:
    """Tokens per second of one trace, served and in the loop, and how far scores are apart."""

    trace: str
    served: float
    looped: float
    gap: float


def main() -> None:
    options = _options()
    run_as_served()
    transformers_logging.disable_progress_bar()
    page = Page("overhead", "Served against the forward alone")
    with terminable(), TemporaryDirectory() as folder:
        model = options.model or make_checkpoint(Path(folder), options.hidden, options.layers)
        turns = list(_measure(model, options))
    _report(page, turns, options)
    page.figure = plot(turns)
    page.write(options)


def _measure(model: Path, options: argparse.Namespace) -> Iterator[Turn]:
    renderer = load_renderer(model)
    network = RewardNetwork.load(open_release(model), device=options.device, dtype=options.dtype)
    with running(servers.ours(str(model), options.device, options.dtype)) as service:
        for name in options.traces:
            _take_turn(name, _texts(renderer, name, options, _WARM_UP), network, service)
        for turn in range(options.repeats):
            for name in options.traces:
                texts = _texts(renderer, name, options, turn)
                yield _take_turn(name, texts, network, service)


def _texts(renderer: Renderer, name: str, options: argparse.Namespace, turn: int) -> list[Texts]:
    requests = 2 if turn == _WARM_UP else options.requests or _TRACES[name]
    trace = make_trace(name, renderer.writer(options.data), options.seed + turn, requests)
    return [renderer.texts(request) for request in trace.requests]


def _take_turn(name: str, texts: list[Texts], network: RewardNetwork, service: Running) -> Turn:
    loop = list(batches([sequence for each in texts for sequence in each.sequences]))
    served = replay(service.url, DIALECTS["native"], texts, _AT_ONCE)
    started = time.perf_counter()
    scores = [score for batch in loop for (score,) in network.score(batch)]
    seconds = time.perf_counter() - started
    tokens = sum(each.tokens for each in texts)
    return Turn(name, tokens / served.seconds, tokens / seconds, _gap(served, scores))


def batches(sequences: list[Sequence], most: int = BATCH_TOKENS) -> Iterator[list[Sequence]]:
    """In order, each of at most so many tokens to compute, and of one sequence at least."""
    batch: list[Sequence] = []
    for sequence in sequences:
        if batch and sum(new_tokens([*batch, sequence])) > most:
            yield batch
            batch = []
        batch = [*batch, sequence]
    if batch:
        yield batch


def _gap(served: Replay, looped: list[float]) -> float:
    scores = [score for place in sorted(served.replies) for score in served.replies[place].scores]
    return max(
        float("inf") if score is None else abs(score - other)
        for score, other in zip(scores, looped, strict=True)
    )


def _report(page: Page, turns: list[Turn], options: argparse.Namespace) -> None:
    gap = max(turn.gap for turn in turns)
    if not gap <= _TOLERANCE[options.dtype]:
        raise RuntimeError(f"served and looped scores are {gap:.1e} apart")
    names = list(dict.fromkeys(turn.trace for turn in turns))
    page.say(
        f"{options.dtype} on {options.device}, {_AT_ONCE} requests at a time, texts others in each "
        f"of {options.repeats} turns. The loop scores the same requests, encoded beforehand, in "
        f"batches of up to {BATCH_TOKENS} tokens, as the service's are. {describe(names)} "
        f"Scores of both are {gap:.1e} apart at most."
    )
    rows: list[list[Cell]] = []
    for name in names:
        served = [turn.served for turn in turns if turn.trace == name]
        looped = [turn.looped for turn in turns if turn.trace == name]
        share = ratio(served, looped)
        rates = [f"{statistics.median(rates):.0f}" for rates in (served, looped)]
        rows.append([name, *rates, str(share), f"{_AIM}", verdict(share.median >= _AIM)])
    page.table(["trace", "served tokens/s", "looped tokens/s", "share", "at least", ""], rows)
    page.facts |= {"turns": [asdict(turn) for turn in turns]}


def plot(turns: list[Turn]) -> Figure:
    """Both rates of every turn, a group for each trace."""
    series = {
        "forward alone, in a loop": [(turn.trace, turn.looped) for turn in turns],
        "served over HTTP": [(turn.trace, turn.served) for turn in turns],
    }
    return dot_plot("tokens per second, counted as sent", series)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    add_checkpoint_options(parser)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=sorted(_TOLERANCE), default="float32")
    parser.add_argument("--traces", nargs="+", choices=list(_TRACES), default=list(_TRACES))
    parser.add_argument("--requests", type=int, help="of each trace; default: its own number")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
