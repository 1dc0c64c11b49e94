"""Token sequences to score: prompts of P tokens with N candidates of about C tokens each. Pure."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

BATCH = 16

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Shape:
    """P, N and C; `at_once` sequences are scored in one batch."""

    prompt: int
    candidates: int
    candidate: int
    at_once: int = BATCH

    @property
    def size(self) -> tuple[int, int, int]:
        return self.prompt, self.candidates, self.candidate

    def __str__(self) -> str:
        alone = "" if self.at_once == BATCH else ", one at a time"
        return f"P={self.prompt} N={self.candidates} C={self.candidate}{alone}"


SHAPES = (
    Shape(100, 16, 150),
    Shape(600, 16, 150),
    Shape(600, 1, 150),
    Shape(600, 1, 150, at_once=1),
)
LONGEST = max(shape.prompt + shape.candidate * 3 // 2 for shape in SHAPES)
"""Tokens of the longest sequence there can be."""


@dataclass(frozen=True)
class Workload:
    """Sixteen sequences in batches.

    In `distinct` they are those of `shared`, in the same order and as long, but each begins with a
    token of its own, so that none has a prefix in common with another.
    """

    shape: Shape
    varied: bool
    shared: list[list[Ids]]
    distinct: list[list[Ids]]

    def __str__(self) -> str:
        return f"{self.shape}, {'lengths vary' if self.varied else 'equal lengths'}"


def workloads(vocabulary: list[int]) -> Iterator[Workload]:
    """Each shape with candidates of 0.5 C to 1.5 C tokens, and with candidates of C tokens."""
    for shape in SHAPES:
        for varied in (True, False):
            yield make_workload(shape, varied, vocabulary)


def make_workload(shape: Shape, varied: bool, vocabulary: list[int]) -> Workload:
    """Drawn from a seed of its own. No text begins with one of the tokens that tell them apart."""
    rng = random.Random(f"{shape} {varied}")
    heads, others = vocabulary[:BATCH], vocabulary[BATCH:]
    texts: list[Ids] = []
    for _ in range(BATCH // shape.candidates):
        prompt = _draw(rng, others, shape.prompt)
        for _ in range(shape.candidates):
            length = round(shape.candidate * (rng.uniform(0.5, 1.5) if varied else 1.0))
            texts.append(prompt + _draw(rng, others, length))
    distinct = [(head, *text[1:]) for head, text in zip(heads, texts, strict=True)]
    return Workload(shape, varied, _batches(texts, shape), _batches(distinct, shape))


def padded_tokens(batches: list[list[Ids]]) -> int:
    """Tokens computed when every batch is padded to its longest sequence."""
    return sum(len(batch) * max(map(len, batch)) for batch in batches)


def _draw(rng: random.Random, vocabulary: list[int], count: int) -> Ids:
    return tuple(rng.choices(vocabulary, k=count))


def _batches(texts: list[Ids], shape: Shape) -> list[list[Ids]]:
    return [texts[start : start + shape.at_once] for start in range(0, BATCH, shape.at_once)]
