"""Measures the service's seconds to readiness, and its memory over many scored candidates.

python -m benchmarks.footprint --data ../shared/data/mbpp [--model DIR]
"""

import argparse
import random
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.harness.page import Cell, Page, add_output_options, verdict
from benchmarks.harness.processes import peak, resident
from benchmarks.harness.service_process import OwnService, own_service
from benchmarks.inputs.mbpp import read_problems

GROUP = 20
"""Candidates of one prompt in each request."""
_EVERY = 500
_SETTLED = 1000
"""Candidates after which caches and pools are filled."""

_MOST_SECONDS = 10
_MOST_MEGABYTES = 800
_MOST_GROWTH = 0.05
"""Share of what was resident when settled; less than this counts as flat."""


@dataclass(frozen=True)
class Start:
    """Seconds from spawning the process to readiness, and what was resident then."""

    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Sample:
    """Resident memory after so many candidates."""

    candidates: int
    megabytes: float


@dataclass(frozen=True)
class Load:
    """The service's work between the first sample and the last; `peak` is the kernel's record."""

    samples: list[Sample]
    seconds: float
    sent: int
    scored: int
    tokens: int
    peak: float | None

    def after(self, candidates: int) -> Sample:
        """The first sample after so many candidates, or the last one."""
        later = (sample for sample in self.samples if sample.candidates >= candidates)
        return next(later, self.samples[-1])


def main() -> None:
    options = _options()
    page = Page("footprint", "Start and memory of the service")
    texts = [problem.reference for problem in read_problems(options.data)]
    starts = [_start(options.model) for _ in tqdm(range(options.starts), desc="starts")]
    with own_service(options.model) as service:
        page.facts["release"] = release = service.release()
        load = _work(service, texts, options.candidates)
    page.say(
        f"{release}, float32 on the CPU, one client with one request of {GROUP} candidates at a "
        "time, every text another one. MB are millions of bytes."
    )
    _report_starts(page, starts)
    _report_load(page, load)
    page.figure = plot(load.samples)
    page.write(options)


def _start(model: str | None) -> Start:
    with own_service(model) as service:
        return Start(service.ready_after, resident(service.pid))


def _work(service: OwnService, texts: list[str], candidates: int) -> Load:
    samples = [Sample(0, resident(service.pid))]
    sent = scored = tokens = 0
    began = time.perf_counter()
    for done in tqdm(range(GROUP, candidates + 1, GROUP), desc="requests"):
        answer = service.score(f"Write function number {done}.", _candidates(texts, done))
        scored += sum(score is not None for score in answer.scores)
        sent, tokens = done, tokens + answer.tokens
        if done % _EVERY == 0:
            samples.append(Sample(done, resident(service.pid)))
    seconds = time.perf_counter() - began
    return Load(samples, seconds, sent, scored, tokens, peak(service.pid))


def _candidates(texts: list[str], number: int) -> list[str]:
    """Other texts for every number, so that nothing can be remembered."""
    return [f"{text}  # {number}" for text in random.Random(number).sample(texts, GROUP)]


def _report_starts(page: Page, starts: list[Start]) -> None:
    seconds = [start.seconds for start in starts]
    megabytes = max(start.megabytes for start in starts)
    page.table(
        [f"{len(starts)} starts", "measured", "limit", ""],
        [
            ["start to ready, median", *_seconds(statistics.median(seconds))],
            ["start to ready, slowest", *_seconds(max(seconds))],
            ["resident when ready, most", *_memory(megabytes)],
        ],
    )
    page.facts["starts"] = [asdict(start) for start in starts]


def _report_load(page: Page, load: Load) -> None:
    last, settled = load.samples[-1], load.after(_SETTLED)
    growth = last.megabytes - settled.megabytes
    limit, flat = f"{_MOST_GROWTH:.0%}, flat", growth <= _MOST_GROWTH * settled.megabytes
    grown = f"{growth:+.1f} MB, {growth / settled.megabytes:+.1%}"
    rows: list[list[Cell]] = [
        [f"resident after {sample.candidates} candidates", *_memory(sample.megabytes)]
        for sample in (load.samples[0], settled, last)
    ]
    rows += [["growth between the last two", grown, limit, verdict(flat)]]
    if load.peak:
        rows += [["most ever resident, loading included", *_memory(load.peak)]]
    rows += [
        ["candidates scored", f"{load.scored} of {load.sent}", "", ""],
        ["candidates per second", f"{load.scored / load.seconds:.1f}", "", ""],
        ["tokens per second", f"{load.tokens / load.seconds:.0f}", "", ""],
    ]
    page.table(["under load", "measured", "limit", ""], rows)
    page.facts["load"] = asdict(load)


def _seconds(value: float) -> list[Cell]:
    return [f"{value:.2f} s", f"{_MOST_SECONDS} s", verdict(value <= _MOST_SECONDS)]


def _memory(value: float) -> list[Cell]:
    return [f"{value:.0f} MB", f"{_MOST_MEGABYTES} MB", verdict(value <= _MOST_MEGABYTES)]


def plot(samples: list[Sample]) -> Figure:
    """Resident memory over candidates, from zero, so that flat looks flat."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([s.candidates for s in samples], [s.megabytes for s in samples], "o-", markersize=3)
    axes.axhline(_MOST_MEGABYTES, color="grey", linewidth=1, linestyle="--", label="limit")
    highest = max(_MOST_MEGABYTES, *(s.megabytes for s in samples))
    axes.set(xlabel="candidates scored", ylabel="resident memory, MB", ylim=(0, 1.06 * highest))
    axes.legend(loc="lower right")
    return figure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with mbpp.jsonl.gz")
    parser.add_argument("--model", help="what to serve; default: the default release")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=10_000)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
