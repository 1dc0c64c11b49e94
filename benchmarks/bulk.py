"""Measures bulk scoring: `codepmp-score rows` beside the benchmarks' own client, and its memory.

    python -m benchmarks.bulk --data ../shared/data

The same prompts with their candidates go to a service of ours as a file, through the command line,
and as requests that were built before the clock started. Both take turns, each turn has texts of
its own, and the service keeps no scores. Then a file of a million rows is scored by a server that
answers at once, while the memory of the command is watched.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure
from transformers.utils import logging as transformers_logging

from benchmarks.harness import servers
from benchmarks.harness.fake_scores import serving_fake_scores
from benchmarks.harness.load import replay
from benchmarks.harness.page import Page, add_output_options, verdict
from benchmarks.harness.processes import running, terminable, watching
from benchmarks.harness.stats import ratio
from benchmarks.inputs.checkpoint import add_checkpoint_options, make_checkpoint
from benchmarks.inputs.dialects import DIALECTS
from benchmarks.inputs.texts import Texts, load_renderer
from benchmarks.inputs.traces import describe, make_trace

TRACE = "best-of-16 P=100"
_AT_ONCE = 16
_WARM_UP = -1

_SHARE_AIM = 0.95

_GROWTH_AIM = 1.1
"""How many times the memory of the first tenth of the rows the rest may take."""


@dataclass(frozen=True)
class Turn:
    """Tokens per second by the command line and by the loop, and how far scores are apart."""

    command: float
    loop: float
    gap: float


@dataclass(frozen=True)
class Watched:
    """Rows, seconds, and (second, MB resident) samples of the command alone."""

    rows: int
    seconds: float
    samples: list[tuple[float, float]]

    def peak(self, begin: float, end: float) -> float:
        """The most MB between two shares of the run."""
        last = self.samples[-1][0]
        return max(mb for second, mb in self.samples if begin * last <= second <= end * last)


def main() -> None:
    options = _options()
    transformers_logging.disable_progress_bar()
    page = Page("bulk", "Bulk scoring by the command line")
    with terminable(), TemporaryDirectory() as folder:
        model = options.model or make_checkpoint(Path(folder), options.hidden, options.layers)
        turns = list(_measure(model, Path(folder), options))
        _report_speed(page, turns, options)
        watched = watch_memory(Path(folder), options.rows)
    _report_memory(page, watched)
    page.figure = plot(watched)
    page.write(options)


def _measure(model: Path, folder: Path, options: argparse.Namespace) -> Iterator[Turn]:
    renderer = load_renderer(model)
    writer = renderer.writer(options.data)
    launch = servers.ours(str(model), "cpu", "float32")
    # Both send the same texts, and the second one would be answered from memory.
    launch = replace(launch, command=(*launch.command, "--result-cache-bytes", "0"))
    with running(launch) as service:
        for number in range(_WARM_UP, options.repeats):
            requests = 2 if number == _WARM_UP else options.requests
            trace = make_trace(TRACE, writer, options.seed + number, requests)
            texts = [renderer.texts(request) for request in trace.requests]
            turn = _take_turn(service.url, texts, folder, command_first=number % 2 == 0)
            if number != _WARM_UP:
                print(f"turn {number + 1} of {options.repeats}: {turn}", flush=True)
                yield turn


def _take_turn(url: str, texts: list[Texts], folder: Path, command_first: bool) -> Turn:
    tokens = sum(each.tokens for each in texts)
    if command_first:
        scores, seconds = _score_by_command(url, texts, folder)
        loop = replay(url, DIALECTS["native"], texts, _AT_ONCE)
    else:
        loop = replay(url, DIALECTS["native"], texts, _AT_ONCE)
        scores, seconds = _score_by_command(url, texts, folder)
    gap = 0.0
    for place, ours in enumerate(scores):
        for one, other in zip(ours, loop.replies[place].scores, strict=True):
            assert other is not None
            gap = max(gap, abs(one - other))
    return Turn(tokens / seconds, tokens / loop.seconds, gap)


def _score_by_command(
    url: str, texts: list[Texts], folder: Path
) -> tuple[list[list[float]], float]:
    """The scores, and the seconds of the whole process, from its start to its end."""
    source, target = folder / "in.jsonl", folder / "out.jsonl"
    with source.open("w") as lines:
        for each in texts:
            request = each.request
            row = {"prompt": request.prompt, "candidates": list(request.candidates)}
            lines.write(json.dumps(row) + "\n")
    began = time.perf_counter()
    subprocess.run([*_command(source, target, url), "--quiet", "--force"], check=True)
    seconds = time.perf_counter() - began
    with target.open() as lines:
        return [json.loads(line)["scores"] for line in lines], seconds


def _command(source: Path, target: Path, url: str) -> list[str]:
    command = [sys.executable, "-m", "codepmp_client.bulk", "rows", str(source), str(target)]
    return [*command, "--url", url]


def watch_memory(folder: Path, rows: int) -> Watched:
    """Score a generated file of so many different rows, four of each prompt."""
    source, target = folder / "many.jsonl", folder / "many.out.jsonl"
    with source.open("w") as lines:
        for number in range(rows):
            prompt = f"Problem {number // 4}: add up the digits of {number // 4 * 7919}."
            response = f"The digits of answer {number} add up to {number % 97}. " * 3
            row = {"id": number, "prompt": prompt, "response": response}
            lines.write(json.dumps(row) + "\n")
    with serving_fake_scores() as url:
        began = time.perf_counter()
        with (
            subprocess.Popen([*_command(source, target, url), "--quiet"]) as process,
            watching(process.pid, every=0.1) as memory,
        ):
            code = process.wait()
        seconds = time.perf_counter() - began
    if code != 0:
        raise RuntimeError(f"codepmp-score ended with {code}")
    with target.open() as lines:
        for number, line in enumerate(lines):
            assert json.loads(line)["id"] == number, "rows are not in order"
    assert number + 1 == rows, "rows are missing"
    # A process that has ended holds nothing.
    return Watched(rows, seconds, [sample for sample in memory.samples if sample[1] > 0])


def _report_speed(page: Page, turns: list[Turn], options: argparse.Namespace) -> None:
    page.say(
        f"{options.requests} prompts in each of {options.repeats} turns, {describe([TRACE])} The "
        f"benchmarks' client has {_AT_ONCE} requests in flight, each built before the clock "
        "started; the command's time is that of its whole process, with Python's start, reading, "
        "the ledger and writing. Scores are at most "
        f"{max(turn.gap for turn in turns):.1e} apart."
    )
    share = ratio([turn.command for turn in turns], [turn.loop for turn in turns])
    rows = [[f"{turn.command:.0f}", f"{turn.loop:.0f}"] for turn in turns]
    page.table(["codepmp-score, tokens/s", "client in a loop, tokens/s"], rows)
    page.table(
        ["", "measured", "aim", ""],
        [["command / loop", str(share), f"{_SHARE_AIM}", verdict(share.median >= _SHARE_AIM)]],
    )
    page.facts["turns"] = [asdict(turn) for turn in turns]


def _report_memory(page: Page, watched: Watched) -> None:
    first, rest = watched.peak(0.0, 0.1), watched.peak(0.1, 1.0)
    rate = watched.rows / watched.seconds
    page.say(
        f"A file of {watched.rows:,} different rows, scored by a server that answers at once: "
        f"{watched.seconds:.0f} s, {rate:,.0f} rows/s; all rows are there and in order."
    )
    page.table(
        ["peak resident MB, first tenth of the time", "the rest", "times", "aim", ""],
        [
            [
                *(f"{first:.0f}", f"{rest:.0f}", f"{rest / first:.2f}"),
                *(f"{_GROWTH_AIM}", verdict(rest / first <= _GROWTH_AIM)),
            ]
        ],
    )
    page.facts["memory"] = asdict(watched)


def plot(watched: Watched) -> Figure:
    """Resident memory over time."""
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*watched.samples, strict=True))
    axes.set(xlabel="seconds", ylabel="MB resident, codepmp-score")
    axes.set_ylim(bottom=0)
    return figure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    add_checkpoint_options(parser)
    parser.add_argument("--requests", type=int, default=96, help="prompts in each turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each client")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the file for the memory")
    parser.add_argument("--seed", type=int, default=1)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
