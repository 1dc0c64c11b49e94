"""Measures where the time of one short request goes, when nothing else is there.

    python -m benchmarks.one_request --data ../shared/data [--model DIR ...]

A service answers one request at a time, each with one text that it has not seen. Its own clocks
(`Server-Timing`) say what happens inside; ours runs from the last byte of the request to the first
byte of the answer. After each request this process computes the same tokens, by our forward alone
and by transformers' own, so all three take turns.
"""

import argparse
import http.client
import json
import socket
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import torch
from matplotlib.figure import Figure
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from benchmarks.harness import servers
from benchmarks.harness.page import Cell, Page, add_output_options
from benchmarks.harness.processes import Running, run_as_served, running, terminable
from benchmarks.inputs.checkpoint import make_checkpoint
from benchmarks.inputs.dialects import DIALECTS
from benchmarks.inputs.texts import Texts, load_renderer
from benchmarks.inputs.traces import describe, make_trace
from reward_model.attention.compiled import tree_kernel
from reward_model.cpu.bf16x3_linear import Bf16x3Linear
from reward_model.cpu.onednn_linear import OneDnnLinear
from reward_model.network import RewardNetwork
from reward_model.release.checkpoint import load_model
from reward_model.release.release import open_release

P = ParamSpec("P")
T = TypeVar("T")

_TRACE = "interactive"
_WARM_UP = 12
"""Requests before the first that counts."""

_TOLERANCE = 1e-4

HTTP = "HTTP: reading, parsing and checking the request; writing the answer"
QUEUE = "queue: looking for relatives, and waking the engine's thread"
PACKING = "packing"
FORWARD = "the forward alone"
SLOWER = "what the forward takes longer in the service"
LAST_HOP = "back to the event loop"

LINEARS = "linear layers"
ATTENTION = "attention"
OTHERS = "everything else"


@dataclass(frozen=True)
class Sample:
    """One request; all times are milliseconds.

    Attributes:
        answered: from the last byte of the request to the first byte of the answer.
        phases: `Server-Timing` of the answer.
        packing, forward: of the same tokens, in this process.
        inside: what parts of a forward took, in another pass.
        plain: transformers' own forward.
    """

    tokens: int
    answered: float
    phases: dict[str, float]
    packing: float
    forward: float
    inside: dict[str, float]
    plain: float

    def steps(self) -> dict[str, float]:
        """Divide the request's time into steps, by name; they add up to `answered`."""
        phases = self.phases
        known = sum(phases[name] for name in ("admit", "encode", "queue", "infer"))
        return {
            HTTP: self.answered - phases["total"],
            "admission": phases["admit"],
            "encoding, with its hop to a thread": phases["encode"],
            QUEUE: phases["queue"],
            PACKING: self.packing,
            FORWARD: self.forward,
            SLOWER: phases["infer"] - self.packing - self.forward,
            LAST_HOP: phases["total"] - known,
        }


def main() -> None:
    options = _options()
    run_as_served()
    transformers_logging.disable_progress_bar()
    page = Page("one-request", "One short request")
    _introduce(page, options)
    found: dict[str, list[Sample]] = {}
    with terminable(), TemporaryDirectory() as folder:
        random_model = make_checkpoint(Path(folder), options.hidden, options.layers)
        for model in [random_model, *options.model]:
            size = f"a random checkpoint (hidden size {options.hidden}, {options.layers} layers)"
            name = size if model == random_model else model.name
            found[name] = list(_measure(model, options))
            page.say(f"## {name}")
            _report(page, found[name])
    page.facts |= {
        name: [vars(sample) | {"steps": sample.steps()} for sample in samples]
        for name, samples in found.items()
    }
    page.figure = plot(found)
    page.write(options)


def _introduce(page: Page, options: argparse.Namespace) -> None:
    page.say(
        f"One request at a time, {options.requests} of them for each model, float32 on the CPU, "
        f"with the environment of `scripts/serve`. {describe([_TRACE])} Medians of each row, which "
        "therefore do not add up exactly. The service's own clocks give the rows of a request; the "
        "forward alone and its packing ran in another process, in turn with the requests."
    )


def _measure(model: Path, options: argparse.Namespace) -> Iterator[Sample]:
    renderer = load_renderer(model)
    count = _WARM_UP + options.requests
    trace = make_trace(_TRACE, renderer.writer(options.data), options.seed, count)
    release = open_release(model)
    network = RewardNetwork.load(release, device="cpu", dtype="float32")
    plain = load_model(release, device="cpu", dtype="float32").eval()
    with running(servers.ours(str(model), "cpu", "float32")) as service, _Client(service) as client:
        for place, request in enumerate(trace.requests):
            sample = _take_turn(renderer.texts(request), client, network, plain)
            if place >= _WARM_UP:
                yield sample


def _take_turn(
    texts: Texts, client: "_Client", network: RewardNetwork, plain: PreTrainedModel
) -> Sample:
    batch = list(texts.sequences)
    (sequence,) = batch
    answered, phases, scores = client.ask(texts)
    started = time.perf_counter()
    prepared = network.prepare(batch)
    packed = time.perf_counter()
    ((score,),) = network.compute(prepared)
    computed = time.perf_counter()
    with _inside(network) as inside, _clocked(inside, OTHERS):
        network.compute(prepared)
    inside[OTHERS] -= inside[LINEARS] + inside[ATTENTION]
    ids = torch.tensor([sequence.ids])
    begun = time.perf_counter()
    with torch.inference_mode():
        expected = float(plain(input_ids=ids).logits)
    ended = time.perf_counter()
    gap = max(abs(score - expected), *(abs(each - expected) for each in scores))
    if not gap <= _TOLERANCE * max(1.0, abs(expected)):
        raise RuntimeError(f"scores of the same text are {gap:.1e} apart")
    return Sample(
        len(sequence.ids),
        answered,
        phases,
        1000 * (packed - started),
        1000 * (computed - packed),
        dict(inside),
        1000 * (ended - begun),
    )


class _Client:
    """One connection to a service, and a clock between the last byte out and the first byte in."""

    def __init__(self, service: Running) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(service.url).netloc)

    def __enter__(self) -> "_Client":
        self._connection.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, texts: Texts) -> tuple[float, dict[str, float], list[float]]:
        """Milliseconds until the answer began, its `Server-Timing`, and its scores."""
        dialect = DIALECTS["native"]
        body = json.dumps(dialect.body(texts)).encode()
        self._connection.request("POST", dialect.path, body, {"Content-Type": "application/json"})
        sent = time.perf_counter()
        self._connection.sock.recv(1, socket.MSG_PEEK)
        began = time.perf_counter()
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"the service answered {answer.status}: {content[:500]!r}")
        scores = [float("nan") if s is None else s for s in dialect.scores(content)]
        return 1000 * (began - sent), timings(answer.headers["Server-Timing"]), scores


def timings(header: str) -> dict[str, float]:
    """Milliseconds of each metric in a `Server-Timing` header."""
    metrics = (metric.strip().split(";dur=") for metric in header.split(","))
    return {name: float(milliseconds) for name, milliseconds in metrics}


@contextmanager
def _inside(network: RewardNetwork) -> Iterator[defaultdict[str, float]]:
    """Clocks the linear layers and the attention of a network, in milliseconds by name."""
    spent: defaultdict[str, float] = defaultdict(float)
    kinds = (torch.nn.Linear, OneDnnLinear, Bf16x3Linear)
    watched: list[tuple[object, str, str]] = [
        (module, method, LINEARS)
        for module in network.model.modules()
        if isinstance(module, kinds)
        for method in ("forward", "silu", "combined")
        if hasattr(module, method)
    ]
    if kernel := tree_kernel():
        watched.append((kernel, "attend", ATTENTION))
    for owner, method, name in watched:
        setattr(owner, method, _clocking(getattr(owner, method), spent, name))
    try:
        yield spent
    finally:
        for owner, method, _ in watched:
            delattr(owner, method)  # The class has the method itself.


def _clocking(call: Callable[P, T], spent: defaultdict[str, float], name: str) -> Callable[P, T]:
    @wraps(call)
    def clocked(*args: P.args, **kwargs: P.kwargs) -> T:
        with _clocked(spent, name):
            return call(*args, **kwargs)

    return clocked


@contextmanager
def _clocked(spent: defaultdict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    spent[name] += 1000 * (time.perf_counter() - started)


def _report(page: Page, samples: list[Sample]) -> None:
    answered = statistics.median(sample.answered for sample in samples)
    forward = statistics.median(sample.forward for sample in samples)
    plain = statistics.median(sample.plain for sample in samples)
    tokens = statistics.median(sample.tokens for sample in samples)
    rows: list[list[Cell]] = []
    for name in samples[0].steps():
        spent = statistics.median(sample.steps()[name] for sample in samples)
        rows.append([name, f"{spent:.2f}", f"{spent / answered:.1%}"])
    rows.append(["**from the last byte to the first**", f"{answered:.2f}", "100 %"])
    page.say(f"{tokens:.0f} tokens (median).")
    page.table(["where the time of a request goes", "p50 ms", "of the request"], rows)
    parts: list[list[Cell]] = []
    for name in (LINEARS, ATTENTION, OTHERS):
        inside = statistics.median(sample.inside[name] for sample in samples)
        parts.append([name, f"{inside:.2f}", f"{inside / forward:.1%}"])
    page.table(["within the forward (a pass with clocks)", "p50 ms", "of the forward"], parts)
    page.table(
        ["limits", "p50 ms", "request / it"],
        [
            [FORWARD, f"{forward:.2f}", f"{answered / forward:.2f}"],
            ["transformers' plain forward", f"{plain:.2f}", f"{answered / plain:.2f}"],
        ],
    )


def plot(found: dict[str, list[Sample]]) -> Figure:
    """A bar for each model, made of the medians of its steps."""
    figure = Figure(figsize=(9, 1.5 + 0.8 * len(found)), layout="constrained")
    axes = figure.subplots()
    left = [0.0] * len(found)
    for step in next(iter(found.values()))[0].steps():
        widths = [
            max(0.0, statistics.median(sample.steps()[step] for sample in samples))
            for samples in found.values()
        ]
        axes.barh(list(found), widths, left=left, label=step)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_xlabel("ms")
    axes.legend(fontsize="x-small", loc="upper center", bbox_to_anchor=(0.4, -0.3), ncols=2)
    return figure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one_request", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with candidates/")
    parser.add_argument(
        "--model", type=Path, nargs="+", default=[], help="checkpoints beside the random one"
    )
    parser.add_argument("--hidden", type=int, default=512, help="of the random one")
    parser.add_argument("--layers", type=int, default=8, help="of the random one")
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
