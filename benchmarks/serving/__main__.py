"""Servers of reward models against each other: the same checkpoint, the same requests, over HTTP.

    python -m benchmarks.serving --data ../shared/data --vllm-python VENV/bin/python
    python -m benchmarks.serving --data ../shared/data --url other=openrlhf=http://127.0.0.1:5000
    python -m benchmarks.serving --data ../shared/data --before ../older-checkout --no-naive

Servers run one at a time and take turns. Scores must agree before any ratio is printed.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers.utils import logging as transformers_logging

from benchmarks.harness import servers
from benchmarks.harness.load import replay
from benchmarks.harness.page import Page, add_output_options
from benchmarks.harness.processes import Launch, Memory, running, terminable, watching
from benchmarks.inputs.checkpoint import add_checkpoint_options, make_checkpoint
from benchmarks.inputs.dialects import DIALECTS, Dialect
from benchmarks.inputs.texts import Renderer, Texts, load_renderer
from benchmarks.inputs.traces import PLANS, Trace, make_trace
from benchmarks.serving.comparison import OURS, Comparison, Measured, compare
from benchmarks.serving.page import plot, report

_MAX_TOKENS = 4096
"""vLLM is told that no text is longer."""

_WARM_UP_SEED = -1


@dataclass(frozen=True)
class Server:
    """One that is measured: started from `launch`, or running at `url` already."""

    name: str
    dialect: Dialect
    launch: Launch | None = None
    url: str = ""


@dataclass(frozen=True)
class Work:
    """A trace, and its requests as they are sent."""

    trace: Trace
    texts: list[Texts]


def main() -> None:
    options = _options()
    transformers_logging.disable_progress_bar()
    page = Page("serving", "Servers against each other")
    with terminable(), TemporaryDirectory() as folder:
        model = options.model or make_checkpoint(Path(folder), options.hidden, options.layers)
        measured = list(_measure(model, options))
    found = compare(measured, options.tolerance)
    _introduce(page, found, options)
    report(page, found)
    page.figure = plot(found)
    page.write(options)


def _measure(model: Path, options: argparse.Namespace) -> Iterator[Measured]:
    """Each server leads in its turn, and each turn has its own texts."""
    renderer = load_renderer(model)
    order = _servers(model, options)
    warm_up = _work(renderer, options, _WARM_UP_SEED, requests=1)
    for turn in range(options.repeats):
        work = _work(renderer, options, options.seed + turn, options.requests)
        lead = turn % len(order)
        for server in order[lead:] + order[:lead]:
            print(f"turn {turn + 1} of {options.repeats}: {server.name} ...", flush=True)
            yield _measure_server(server, turn, warm_up, work, options.seconds)


def _work(
    renderer: Renderer, options: argparse.Namespace, seed: int, requests: int | None
) -> list[Work]:
    writer = renderer.writer(options.data)
    traces = [make_trace(name, writer, seed, requests) for name in options.traces]
    return [Work(trace, [renderer.texts(r) for r in trace.requests]) for trace in traces]


def _measure_server(
    server: Server, turn: int, warm_up: list[Work], work: list[Work], seconds: float | None
) -> Measured:
    with _at_work(server) as (url, ready_after, memory):
        for each in warm_up:
            replay(url, server.dialect, each.texts, each.trace.at_once)
        replays = {
            each.trace.name: replay(url, server.dialect, each.texts, each.trace.at_once, seconds)
            for each in work
        }
        most = memory.max if memory else None
    return Measured(server.name, turn, replays, ready_after, most)


@contextmanager
def _at_work(server: Server) -> Iterator[tuple[str, float | None, Memory | None]]:
    """Its address; when it is ours to start, seconds to readiness and memory as it is watched."""
    if server.launch is None:
        yield server.url, None, None
        return
    with running(server.launch) as process, watching(process.pid) as memory:
        yield process.url, process.ready_after, memory


def _servers(model: Path, options: argparse.Namespace) -> list[Server]:
    device, dtype = options.device, options.dtype
    own = servers.ours(str(model), device, dtype)
    found = [Server(OURS, DIALECTS["native"], own)]
    if options.before:
        older = servers.ours(str(model), device, dtype, options.before.resolve())
        found.append(Server("before", DIALECTS["native"], older))
    if options.vllm_python:
        python = options.vllm_python.absolute()  # resolved, a venv's would be the system's
        launch = servers.vllm(python, model, dtype, _MAX_TOKENS)
        found.append(Server("vLLM", DIALECTS[options.vllm_input], launch))
    if not options.no_naive:
        launch = servers.naive(model, device, dtype)
        found.append(Server("naive", DIALECTS["openrlhf"], launch))
    return [*found, *options.url]


def _introduce(page: Page, found: Comparison, options: argparse.Namespace) -> None:
    size = f"hidden size {options.hidden}, {options.layers} layers"
    what = options.model.name if options.model else f"a random Qwen2-shaped checkpoint ({size})"
    page.say(
        f"{', '.join(found.servers)}, one at a time, each serving {what} in {options.dtype} on "
        f"{options.device}, started and warmed up for each of {options.repeats} turns in which "
        "they alternate. The client runs on the same machine."
    )
    if not options.no_naive:
        page.say(
            "naive: `benchmarks/serving/naive_server.py`, padded batches of transformers behind "
            "FastAPI, asked as OpenRLHF asks."
        )
    page.say(_say_vllm(options))


def _say_vllm(options: argparse.Namespace) -> str:
    if not options.vllm_python:
        return "vLLM was not measured: no interpreter was named with --vllm-python."
    ids = options.vllm_input == "vllm"
    asked = "token ids, so that it need not tokenize," if ids else "rendered text"
    return (
        f"vLLM: {servers.vllm_versions(options.vllm_python)}; `/classify` with {asked} and without "
        "its activation; on a CPU with 4 GiB for its KV cache and all cores for computing; all "
        "else, prefix caching among it, by its defaults."
    )


def parse_url(argument: str) -> Server:
    """A server that runs already, as `--url` names it."""
    name, _, rest = argument.partition("=")
    dialect, _, url = rest.partition("=")
    if not url or dialect not in DIALECTS:
        raise argparse.ArgumentTypeError(f"is not NAME=DIALECT=URL, of {', '.join(DIALECTS)}")
    return Server(name, DIALECTS[dialect], url=url)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    add_checkpoint_options(parser)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--vllm-python", type=Path, help="interpreter of a venv with vLLM")
    parser.add_argument("--vllm-input", choices=["vllm", "vllm-text"], default="vllm")
    parser.add_argument(
        "--before", type=Path, metavar="CHECKOUT", help="an older checkout of this service"
    )
    parser.add_argument("--no-naive", action="store_true", help="leave the naive server out")
    parser.add_argument(
        "--url", type=parse_url, action="append", default=[], metavar="NAME=DIALECT=URL"
    )
    parser.add_argument("--traces", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--requests", type=int, help="of each trace; default: its own number")
    parser.add_argument("--seconds", type=float, help="after which no more of a trace is sent")
    parser.add_argument("--repeats", type=int, default=2, help="turns of each server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tolerance", type=float, default=1e-3, help="of scores between servers")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
