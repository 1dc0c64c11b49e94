"""What the service costs to run: seconds to readiness, and memory over many scored candidates.

python -m benchmarks.footprint [--model DIR] [--candidates 10000]
"""

import argparse
import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.mbpp import read_problems
from benchmarks.page import Page
from benchmarks.service_process import running_service

_STARTS = 5
_GROUP = 20
"""Candidates of one prompt in each request."""


@dataclass(frozen=True)
class Sample:
    """Resident memory after so many candidates."""

    candidates: int
    megabytes: float


def main() -> None:
    options = _options()
    page = Page("footprint", "Start and memory of the service")
    starts = [_start(options.model) for _ in range(_STARTS)]
    texts = [problem.reference for problem in read_problems(options.data)]
    with running_service(options.model) as running:
        facts = httpx.get(f"{running.url}/v1/models").json()["data"][0]
        process = psutil.Process(running.pid)
        samples = [Sample(0, _megabytes(process))]
        began, tokens = time.perf_counter(), 0
        for done in tqdm(range(_GROUP, options.candidates + 1, _GROUP), desc="requests"):
            tokens += _request(running.url, texts, done)
            if done % 500 == 0:
                samples.append(Sample(done, _megabytes(process)))
        seconds = time.perf_counter() - began
    page.say(f"{facts['id']} {facts['version']} on CPU, in float32.")
    _report(page, starts, samples, tokens / seconds)
    if options.write:
        plot(samples, page.figure_path())
        print(page.write())


def _start(model: str | None) -> float:
    with running_service(model) as running:
        return running.ready_after


def _request(url: str, texts: list[str], number: int) -> int:
    """Other texts every time; returns the tokens that were scored."""
    rng = random.Random(number)
    candidates = [f"{text}  # {number}" for text in rng.sample(texts, _GROUP)]
    body = {"inputs": [{"prompt": f"Write function number {number}.", "candidates": candidates}]}
    answer = httpx.post(f"{url}/v1/score", json=body, timeout=60).raise_for_status()
    tokens: int = answer.json()["usage"]["tokens"]
    return tokens


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def _report(page: Page, starts: list[float], samples: list[Sample], speed: float) -> None:
    last = samples[-1]
    early = next(sample for sample in samples if sample.candidates >= min(1000, last.candidates))
    page.facts.update(starts=starts, samples=[(s.candidates, s.megabytes) for s in samples])
    page.table(
        ["figure", "measured", "limit"],
        [
            ["start to ready, median of five", f"{statistics.median(starts):.1f} s", "10 s"],
            ["start to ready, slowest", f"{max(starts):.1f} s", "10 s"],
            ["resident when ready", f"{samples[0].megabytes:.0f} MB", "800 MB"],
            [
                f"resident after {early.candidates} candidates",
                f"{early.megabytes:.0f} MB",
                "800 MB",
            ],
            [f"resident after {last.candidates} candidates", f"{last.megabytes:.0f} MB", "800 MB"],
            ["growth between the two", f"{last.megabytes - early.megabytes:+.1f} MB", "flat"],
            ["tokens scored per second, one request at a time", f"{speed:.0f}", ""],
        ],
    )
    page.say("![resident memory](" + page.figure_path().name + ")")


def plot(samples: list[Sample], file: Path) -> None:
    """Resident memory over candidates, from zero, so that flat looks flat."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([s.candidates for s in samples], [s.megabytes for s in samples], "o-", markersize=3)
    axes.axhline(800, color="grey", linewidth=1)
    axes.set(xlabel="candidates scored", ylabel="resident memory, MB", ylim=(0, 850))
    figure.savefig(file, metadata={"Date": None})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with mbpp.jsonl.gz")
    parser.add_argument("--model", help="what to serve; default: the default release")
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--write", action="store_true", help="write the page under results/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
