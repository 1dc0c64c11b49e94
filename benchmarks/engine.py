"""What prefix sharing is worth: the packed forward beside padded batches of transformers.

    python -m benchmarks.engine [--repeats 5] [--threads 2]

One random Qwen2-shaped checkpoint, the same candidates for every arm, arms taking turns, medians.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from benchmarks.page import Cell, Page
from reward_model.network import RewardNetwork, load_model, load_tokenizer
from reward_model.packing import Sequence, new_tokens
from reward_model.release import open_release
from trainer.base import BaseConfig, train_tokenizer

BATCH = 16
SHAPES = ((100, 16, 150), (600, 16, 150), (600, 1, 150))
"""(P, N, C): tokens of a prompt, candidates of it, tokens of a candidate on average."""

Ids = tuple[int, ...]
Arm = Callable[[list[Ids]], list[float]]


@dataclass(frozen=True)
class Workload:
    """Texts to score and the tokens they hold; `shared` ones of a prompt begin with it."""

    name: str
    shared: list[Ids]
    distinct: list[Ids]


def main() -> None:
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    page = Page("engine", "Packed forward against padded batches")
    with tempfile.TemporaryDirectory() as folder:
        padded, network = _load(make_checkpoint(Path(folder), options.hidden, options.layers))
        size = sum(parameter.numel() for parameter in padded.parameters())
        page.say(
            f"Random Qwen2-shaped checkpoint, {size / 1e6:.1f} M parameters, float32. Sequences "
            f"per second, median of {options.repeats} turns (spread in brackets). Padded: "
            f"`AutoModelForSequenceClassification`, SDPA, batches of {BATCH}, right padding with a "
            "mask. Without sharing: the same texts packed, each prompt made different at its first "
            "token. Every arm scores the same texts as another arm to 1e-4."
        )
        _measure(page, padded, network, options.repeats)
    print(page.write() if options.write else "")


def make_checkpoint(folder: Path, hidden: int, layers: int) -> Path:
    """Saved with a tokenizer, because a checkpoint without one is not loaded."""
    tokenizer = train_tokenizer(["def add(a, b): return a + b"], BaseConfig(vocabulary=300))
    config = AutoConfig.for_model(
        "qwen2",
        vocab_size=32_000,
        hidden_size=hidden,
        intermediate_size=hidden * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=max(1, hidden // 128),
        max_position_embeddings=4096,
        pad_token_id=0,
        num_labels=1,
    )
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _load(folder: Path) -> tuple[PreTrainedModel, RewardNetwork]:
    release = open_release(folder)
    network = RewardNetwork(load_model(release), load_tokenizer(release), release.max_tokens)
    assert network.shares_prefixes, network.fallback_reason
    network.max_tokens = release.max_tokens
    return load_model(release).eval(), network


def _measure(page: Page, padded: PreTrainedModel, network: RewardNetwork, repeats: int) -> None:
    rows: list[list[Cell]] = []
    for work in workloads():
        arms: dict[str, tuple[Arm, list[Ids]]] = {
            "padded": (lambda texts: score_padded(padded, texts), work.shared),
            "packed, not shared": (lambda texts: score_packed(network, texts), work.distinct),
            "packed, shared": (lambda texts: score_packed(network, texts), work.shared),
        }
        _require_agreement(padded, network, work)
        seconds = _take_turns(arms, repeats)
        rows += _rows(work, seconds)
        page.facts[work.name] = {arm: statistics.median(times) for arm, times in seconds.items()}
    page.table(["workload", "arm", "tokens computed", "sequences/s", "x padded"], rows)


def workloads() -> Iterator[Workload]:
    """Candidate lengths vary from half to one and a half of C, and once more are all C."""
    for prompt, count, candidate in SHAPES:
        for spread in (0.5, 0.0):
            rng = random.Random(f"{prompt} {count} {candidate} {spread}")
            lengths = [round(candidate * rng.uniform(1 - spread, 1 + spread)) for _ in range(BATCH)]
            shared = [
                text
                for start in range(0, BATCH, count)
                for text in _candidates(rng, prompt, lengths[start : start + count])
            ]
            distinct = [(1000 + i, *text[1:]) for i, text in enumerate(shared)]
            kind = "lengths vary" if spread else "equal lengths"
            yield Workload(f"P={prompt} N={count} C={candidate}, {kind}", shared, distinct)


def _candidates(rng: random.Random, prompt: int, lengths: list[int]) -> list[Ids]:
    head = _draw(rng, prompt)
    return [head + _draw(rng, length) for length in lengths]


def _draw(rng: random.Random, count: int) -> Ids:
    return tuple(rng.randrange(2000, 32_000) for _ in range(count))


@torch.inference_mode()
def score_padded(model: PreTrainedModel, texts: list[Ids]) -> list[float]:
    longest = max(map(len, texts))
    ids = torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts])
    logits: torch.Tensor = model(input_ids=ids, attention_mask=(ids != 0).long()).logits
    return [float(score) for score in logits[:, 0]]


def score_packed(network: RewardNetwork, texts: list[Ids]) -> list[float]:
    return [score for (score,) in network.score(_sequences(texts))]


def _sequences(texts: list[Ids]) -> list[Sequence]:
    return [Sequence(text, (len(text) - 1,)) for text in texts]


def _require_agreement(padded: PreTrainedModel, network: RewardNetwork, work: Workload) -> None:
    for texts in (work.shared, work.distinct):
        pairs = zip(score_padded(padded, texts), score_packed(network, texts), strict=True)
        gap = max(abs(left - right) for left, right in pairs)
        if gap > 1e-4:
            raise RuntimeError(f"{work.name}: packed and padded scores are {gap:.1e} apart")


def _take_turns(arms: dict[str, tuple[Arm, list[Ids]]], repeats: int) -> dict[str, list[float]]:
    """Arms alternate, so that a machine that slows down slows all of them; the first turn warms."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(repeats + 1):
        for name, (arm, texts) in arms.items():
            started = time.perf_counter()
            arm(texts)
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def _rows(work: Workload, seconds: dict[str, list[float]]) -> list[list[Cell]]:
    longest = max(map(len, work.shared))
    tokens = {
        "padded": longest * BATCH,
        "packed, not shared": sum(new_tokens(_sequences(work.distinct))),
        "packed, shared": sum(new_tokens(_sequences(work.shared))),
    }
    base = statistics.median(seconds["padded"])
    return [
        [
            work.name,
            arm,
            tokens[arm],
            f"{BATCH / statistics.median(times):.1f} [{BATCH / max(times):.1f} to "
            f"{BATCH / min(times):.1f}]",
            f"{base / statistics.median(times):.2f}",
        ]
        for arm, times in seconds.items()
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0 leaves it to torch")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--write", action="store_true", help="write the page under results/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
