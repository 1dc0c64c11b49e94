"""How a CPU's cores are used best: one forward of many threads, or several engine processes.

    python -m benchmarks.cores --data ../shared/data [--model DIR]

Best-of-16 batches of real text go through the service's own engine processes, with one process of
1, 2, 4, ... threads and with all cores divided among 2, 4, ... processes. Beside that stands how
fast texts are encoded, and a model of larger machines, fitted to what one process did.
"""

import argparse
import itertools
import random
import statistics
import time
from collections.abc import Sequence as Rows
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from matplotlib.figure import Figure
from transformers.utils import logging as transformers_logging

from benchmarks.harness.page import Cell, Page, add_output_options
from benchmarks.harness.processes import run_as_served
from benchmarks.harness.stats import Fit, fit
from benchmarks.inputs.checkpoint import add_checkpoint_options, make_checkpoint
from benchmarks.inputs.texts import Renderer, Texts, load_renderer
from benchmarks.inputs.traces import CANDIDATES, best_of
from reward_model.release.release import Release, open_release
from reward_model.text.chat import Message
from service.engines.cores import physical_cores
from service.engines.process_engine import ProcessEngine, load_process_engine
from service.settings import Settings

_PROMPT_TOKENS = 600
_BATCHES = 4
_MODELLED_CORES = (8, 16, 32, 64)
_MODELLED_THREADS = (4, 8)


@dataclass(frozen=True)
class Layout:
    """A division of cores, and what it did in each turn.

    Attributes:
        rates: computed tokens per second.
        megabytes: of all processes; pages that several share are divided among them (PSS).
    """

    processes: int
    threads: int
    rates: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def __str__(self) -> str:
        return f"{self.processes} x {self.threads}"


def main() -> None:
    options = _options()
    run_as_served()
    transformers_logging.disable_progress_bar()
    page = Page("cores", "One forward on many cores, or several processes")
    cores = len(physical_cores(psutil.Process().cpu_affinity()))
    tried = layouts(min(cores, options.cores or cores))
    with TemporaryDirectory() as folder:
        model = options.model or make_checkpoint(Path(folder), options.hidden, options.layers)
        release, renderer = open_release(model), load_renderer(model)
        writer, rng = renderer.writer(options.data), random.Random(options.seed)
        batches = [
            renderer.texts(best_of(writer, rng, _PROMPT_TOKENS, CANDIDATES))
            for _ in range(_BATCHES)
        ]
        # Layouts take turns, so that a machine that slows down slows all of them.
        for _, layout in itertools.product(range(options.turns), tried):
            print(f"measuring {layout} ...", flush=True)
            _measure(layout, release, batches, options.seconds)
        encoding = {
            threads: _encode(renderer, batches, threads, options.seconds)
            for threads in dict.fromkeys((1, 2, min(4, cores)))
        }
    what = options.model.name if options.model else "A random Qwen2-shaped checkpoint"
    page.say(
        f"{what}, float32. Batches of {CANDIDATES} candidates of a prompt of {_PROMPT_TOKENS} "
        f"tokens, each process with one batch at a time; {cores} physical cores; median of "
        f"{options.turns} turns of {options.seconds:g} s, slowest and fastest in brackets."
    )
    _report(page, tried)
    _report_encoding(page, encoding, batches, max(layout.rate for layout in tried))
    alone = [layout for layout in tried if layout.processes == 1]
    if len(alone) > 1:
        _report_model(page, amdahl(alone), alone)
    page.figure = plot(tried)
    page.write(options)


def layouts(cores: int) -> list[Layout]:
    """One process of 1, 2, 4, ... and all threads, then all cores for 2, 4, ... processes."""
    powers = [2**each for each in range(cores.bit_length()) if 2**each <= cores]
    alone = [Layout(1, threads) for threads in sorted({*powers, cores})]
    return alone + [Layout(count, cores // count) for count in powers[1:]]


def _measure(layout: Layout, release: Release, batches: list[Texts], seconds: float) -> None:
    settings = Settings(device="cpu", engine_processes=layout.processes, cpu_threads=layout.threads)
    engine = load_process_engine(release, settings)
    try:
        engine.warm_up()
        engine.serve()
        with ThreadPoolExecutor(layout.processes) as threads:
            starts = range(layout.processes)
            rates = list(threads.map(lambda start: _feed(engine, batches, start, seconds), starts))
        layout.rates.append(sum(rates))
        pss = [psutil.Process(each.pid).memory_full_info().pss for each in engine.processes]
        layout.megabytes.append(sum(pss) / 1e6)
    finally:
        engine.close()


def _feed(engine: ProcessEngine, batches: list[Texts], start: int, seconds: float) -> float:
    """Score batch after batch for so long; return computed tokens per second."""
    began, tokens = time.perf_counter(), 0
    for number in itertools.count(start):
        texts = batches[number % len(batches)]
        engine.score(list(texts.sequences))
        tokens += texts.computed
        if (passed := time.perf_counter() - began) >= seconds:
            return tokens / passed
    raise AssertionError


def _encode(renderer: Renderer, batches: list[Texts], threads: int, seconds: float) -> float:
    """Encode conversations on threads of this process, as the service does; tokens per second."""
    conversations = [
        (Message("user", texts.request.prompt), Message("assistant", candidate))
        for texts in batches
        for candidate in texts.request.candidates
    ]
    began = time.perf_counter()

    def work(start: int) -> int:
        tokens = 0
        for conversation in itertools.islice(itertools.cycle(conversations), start, None):
            tokens += len(renderer.encoder.encode(conversation).ids)
            if time.perf_counter() - began >= seconds:
                break
        return tokens

    with ThreadPoolExecutor(threads) as pool:
        tokens = sum(pool.map(work, range(threads)))
    return tokens / (time.perf_counter() - began)


def amdahl(alone: Rows[Layout]) -> Fit:
    """Fit the seconds of a token to a part that no thread shortens and a part that all divide."""
    return fit([[1.0, 1 / each.threads] for each in alone], [1 / each.rate for each in alone])


def modelled_rate(found: Fit, threads: int) -> float:
    """Tokens per second of one process, by the model. Noise must not make it more than linear."""
    fixed, divided = found.coefficients
    return 1 / (max(0.0, fixed) + divided / threads)


def _report(page: Page, tried: list[Layout]) -> None:
    one = tried[0].rate
    rows: list[list[Cell]] = []
    for each in tried:
        threads = each.processes * each.threads
        rate = f"{each.rate:.0f} [{min(each.rates):.0f}, {max(each.rates):.0f}]"
        times = each.rate / one
        memory = f"{statistics.median(each.megabytes):.0f}"
        rows.append([str(each), threads, rate, f"{times:.2f}", f"{times / threads:.0%}", memory])
    head = ["processes x threads", "threads", "computed tokens/s", "x one thread", "of linear"]
    page.table([*head, "MB (PSS)"], rows)
    page.facts["layouts"] = [
        {"processes": e.processes, "threads": e.threads, "rates": e.rates, "mb": e.megabytes}
        for e in tried
    ]


def _report_encoding(
    page: Page, encoding: dict[int, float], batches: list[Texts], fastest: float
) -> None:
    page.table(
        ["encoding threads", "encoded tokens/s"],
        [[threads, f"{rate:.0f}"] for threads, rate in encoding.items()],
    )
    sent, computed = sum(each.tokens for each in batches), sum(each.computed for each in batches)
    needed = fastest * sent / computed
    page.say(
        f"All tokens of a request are encoded, {sent / computed:.1f} for each one computed here. "
        f"The fastest layout above needs {needed:.0f} encoded tokens/s, which is "
        f"{needed / encoding[1]:.2f} of one encoding thread."
    )
    page.facts["encoding"] = {"rates": encoding, "needed": needed}


def _report_model(page: Page, found: Fit, alone: Rows[Layout]) -> None:
    fixed, divided = (max(0.0, part) for part in found.coefficients)
    rows: list[list[Cell]] = []
    for cores in _MODELLED_CORES:
        several = [cores // each * modelled_rate(found, each) for each in _MODELLED_THREADS]
        rows.append([cores, *(f"{r:.0f}" for r in (modelled_rate(found, cores), *several))])
    page.say(
        "**A model, not a measurement**, of larger machines of such cores: Amdahl's law, fitted to "
        f"one process of {', '.join(str(each.threads) for each in alone)} threads. "
        f"{fixed / (fixed + divided):.1%} of the work of one thread does not become faster with "
        f"more (largest residual {found.worst:.0%}). Several processes are taken to be as fast as "
        "each alone, which memory bandwidth does not always allow."
    )
    head = [f"processes of {threads} threads" for threads in _MODELLED_THREADS]
    page.table(["cores", "one process", *head], rows)
    page.facts["amdahl"] = {"fixed": fixed, "divided": divided, "worst": found.worst}


def plot(tried: list[Layout]) -> Figure:
    """Tokens per second over all threads: one process, several processes, and linear growth."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for label, mark, several in (("one process", "o-", False), ("several processes", "s", True)):
        mine = [each for each in tried if (each.processes > 1) == several]
        axes.plot(
            [e.processes * e.threads for e in mine], [e.rate for e in mine], mark, label=label
        )
        for each in mine if several else ():
            axes.annotate(str(each), (each.processes * each.threads, each.rate))
    most = max(each.processes * each.threads for each in tried)
    axes.plot([1, most], [tried[0].rate, most * tried[0].rate], "--", color="grey", label="linear")
    axes.set(xlabel="threads", ylabel="computed tokens/s", ylim=(0, None))
    axes.legend()
    return figure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cores", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    add_checkpoint_options(parser)
    parser.add_argument("--cores", type=int, help="use only so many")
    parser.add_argument("--seconds", type=float, default=10, help="of each turn of a layout")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
