"""Tokens per second over HTTP and in a loop, with the same checkpoint, texts and device."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from time import perf_counter

from benchmarks.gpu_day.day import Row, Setting, Skipped
from benchmarks.gpu_day.networks import load_tokenizer, sized_model
from benchmarks.harness import servers
from benchmarks.harness.load import replay
from benchmarks.harness.processes import running
from benchmarks.harness.stats import percentile
from benchmarks.inputs.corpus import Corpus, Writer, read_corpus
from benchmarks.inputs.dialects import DIALECTS
from benchmarks.inputs.texts import Renderer, load_renderer
from benchmarks.inputs.traces import make_trace
from benchmarks.overhead import batches
from reward_model.network import RewardNetwork
from reward_model.release.release import open_release

_ROOT = Path(__file__).resolve().parents[2]

# Requests in flight, and how many there are; a toy run sends two of each.
_TRACES = {
    "best-of-16 P=600": (16, 64),
    "best-of-16 P=100": (16, 64),
    "nothing shared": (64, 512),
    "interactive": (1, 24),
}
_LOOP_BATCH = 8192
"""Tokens of a batch in the loop, as the service's own on a GPU."""


def run(setting: Setting, size_name: str) -> Iterator[Row]:
    """Each trace over HTTP, then in a loop; the loop's process also holds the network."""
    toy = setting.scale.device == "cpu"
    with checkpoint(setting, size_name) as folder:
        renderer = load_renderer(folder)
        writer = Writer(texts_of(setting), renderer.tokenizer.backend_tokenizer)
        network = RewardNetwork.load(
            open_release(folder), device=setting.scale.device, dtype=setting.scale.dtype
        )
        launch = servers.ours(str(folder), setting.scale.device, setting.scale.dtype)
        launch = replace(launch, patience=max(30.0, setting.seconds_left))
        with running(launch) as service:
            yield {"trace": "start", "seconds to ready": service.ready_after}
            for name in list(_TRACES)[: 1 if toy else None]:
                at_once, count = (2, 2) if toy else _TRACES[name]
                # The first turn warms up whatever the start has not.
                for turn in range(2):
                    row = _measure(
                        service.url, network, renderer, writer, name, at_once, count, turn
                    )
                yield row


def _measure(
    url: str,
    network: RewardNetwork,
    renderer: Renderer,
    writer: Writer,
    name: str,
    at_once: int,
    count: int,
    turn: int,
) -> Row:
    trace = make_trace(name, writer, turn, count)
    texts = [renderer.texts(request) for request in trace.requests]
    sequences = [sequence for each in texts for sequence in each.sequences]
    # One request at a time is one batch each in the loop, too.
    loop = [[s] for s in sequences] if at_once == 1 else list(batches(sequences, _LOOP_BATCH))
    found = replay(url, DIALECTS["native"], texts, at_once)
    began = perf_counter()
    scores = [score for batch in loop for (score,) in network.score(batch)]
    looped = perf_counter() - began
    served = [score for place in sorted(found.replies) for score in found.replies[place].scores]
    gap = max(
        float("inf") if one is None else abs(one - other)
        for one, other in zip(served, scores, strict=True)
    )
    tokens = sum(each.tokens for each in texts)
    return {
        "trace": name,
        "served tokens/s": tokens / found.seconds,
        "looped tokens/s": tokens / looped,
        "share": looped / found.seconds,
        "p50 ms": 1000 * percentile(found.latencies, 0.5),
        "p99 ms": 1000 * percentile(found.latencies, 0.99),
        "gap": gap,
    }


@contextmanager
def checkpoint(setting: Setting, size_name: str) -> Iterator[Path]:
    """A random checkpoint of a size on disk, in memory where there is room for it.

    Raises:
        Skipped: no place has room.
    """
    size = setting.scale.size(size_name)
    model = sized_model(size, setting.scale)
    needed = 2 * sum(weight.numel() * weight.element_size() for weight in model.parameters())
    places = [place for place in ("/dev/shm", gettempdir()) if Path(place).is_dir()]  # noqa: S108
    roomy = [place for place in places if shutil.disk_usage(place).free > needed]
    if not roomy:
        raise Skipped(f"no place has {needed / 1e9:.0f} GB for a checkpoint of {size_name}")
    with TemporaryDirectory(dir=roomy[0]) as name:
        folder = Path(name)
        model.save_pretrained(folder)
        del model
        load_tokenizer().save_pretrained(folder)
        yield folder


def texts_of(setting: Setting) -> Corpus:
    """Problems and solutions of the data folder, or paragraphs and functions of this repository."""
    if setting.data:
        return read_corpus(setting.data)
    pages = [page.read_text("utf-8") for page in sorted((_ROOT / "docs").glob("*.md"))]
    modules = [file.read_text("utf-8") for file in sorted((_ROOT / "service").rglob("*.py"))]
    paragraphs = [piece.strip() for page in pages for piece in page.split("\n\n")]
    functions = [piece.strip() for module in modules for piece in module.split("\n\n\n")]
    return Corpus(
        tuple(dict.fromkeys(filter(None, paragraphs))),
        tuple(dict.fromkeys(filter(None, functions))),
    )
