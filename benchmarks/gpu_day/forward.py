"""Tokens per second of the packed forward, beside padded batches and the device's limit."""

import random
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter

import torch
from transformers import PreTrainedModel

from benchmarks.gpu_day.ceiling import measured_flops, synchronize
from benchmarks.gpu_day.day import Row, Setting
from benchmarks.gpu_day.networks import POSITIONS, forward_flops, load_tokenizer, sized_model
from benchmarks.gpu_day.scale import Scale, Size
from benchmarks.overhead import batches
from reward_model.network import RewardNetwork
from reward_model.packing import Sequence, new_tokens


def run(setting: Setting, size_name: str) -> Iterator[Row]:
    """One size: padded batches, then packed ones of each batch size, with and without sharing."""
    scale = setting.scale
    size = scale.size(size_name)
    shared, distinct = make_texts(scale)
    tokens = sum(len(text.ids) for text in shared)
    padded_rate = 0.0
    for padded in _padded(size, scale, shared):
        padded_rate = max(padded_rate, float(padded["scored tokens/s"]))
        yield padded
    network = RewardNetwork(sized_model(size, scale), load_tokenizer(), POSITIONS)
    if not network.shares_prefixes:
        raise RuntimeError(f"it is not packed: {network.fallback_reason}")
    ceiling = measured_flops(setting)
    for limit in scale.batch_tokens:
        for name, sequences in (("nothing shared", distinct), ("prompts shared", shared)):
            loop = list(batches(sequences, limit))
            seconds = _median(partial(_score_all, network.score, loop), scale)
            computed = sum(sum(new_tokens(batch)) for batch in loop)
            row: Row = {
                "arm": f"packed, {name}, {limit} tokens a batch",
                "scored tokens/s": tokens / seconds,
                "computed tokens/s": computed / seconds,
                "x padded": tokens / seconds / padded_rate,
            }
            if ceiling:
                limit_rate = ceiling / (forward_flops(size, loop) / computed)
                row["limit, tokens/s"] = limit_rate
                row["share of the limit"] = computed / seconds / limit_rate
            yield row
    one = distinct[:1]
    seconds = _median(partial(network.score, one), scale, turns=4 * scale.turns)
    yield {"arm": f"packed, one text of {len(one[0].ids)} tokens", "ms": 1000 * seconds}


def _padded(size: Size, scale: Scale, texts: list[Sequence]) -> Iterator[Row]:
    """Padded batches of each size; the network is gone afterwards and leaves room for ours."""
    model = sized_model(size, scale)
    tokens = sum(len(text.ids) for text in texts)
    for count in scale.padded:
        rows = [texts[start : start + count] for start in range(0, len(texts), count)]
        seconds = _median(partial(_score_all, partial(score_padded, model), rows), scale)
        yield {"arm": f"padded, {count} texts a batch", "scored tokens/s": tokens / seconds}


def _score_all(score: Callable[[list[Sequence]], object], loop: list[list[Sequence]]) -> None:
    for batch in loop:
        score(batch)


def make_texts(scale: Scale) -> tuple[list[Sequence], list[Sequence]]:
    """Requests with shared prompts, and the same texts each with a first token of its own."""
    rng = random.Random(1)
    shared: list[tuple[int, ...]] = []
    for _ in range(scale.requests):
        prompt = _draw(rng, scale, scale.prompt)
        lengths = [rng.uniform(0.5, 1.5) * scale.candidate for _ in range(scale.candidates)]
        shared += [prompt + _draw(rng, scale, round(length)) for length in lengths]
    distinct = [(1 + number, *text[1:]) for number, text in enumerate(shared)]
    return _sequences(shared), _sequences(distinct)


def _draw(rng: random.Random, scale: Scale, count: int) -> tuple[int, ...]:
    # The first tokens are for the texts that share nothing.
    return tuple(rng.randrange(scale.vocabulary // 2, scale.vocabulary) for _ in range(count))


def _sequences(texts: list[tuple[int, ...]]) -> list[Sequence]:
    return [Sequence(text, (len(text) - 1,)) for text in texts]


@torch.inference_mode()
def score_padded(model: PreTrainedModel, texts: list[Sequence]) -> list[float]:
    """One batch of transformers, padded on the right to its longest text, with a mask."""
    longest = max(len(text.ids) for text in texts)
    rows = [[*text.ids, *[0] * (longest - len(text.ids))] for text in texts]
    ids = torch.tensor(rows, device=model.device)
    logits: torch.Tensor = model(input_ids=ids, attention_mask=(ids != 0).long()).logits
    scores: list[float] = logits[:, 0].tolist()
    return scores


def _median(work: Callable[[], object], scale: Scale, turns: int = 0) -> float:
    """Seconds of the median turn, after one that warms up."""
    work()
    seconds = []
    for _ in range(turns or scale.turns):
        synchronize(scale.device)
        began = perf_counter()
        work()
        synchronize(scale.device)
        seconds.append(perf_counter() - began)
    return statistics.median(seconds)
