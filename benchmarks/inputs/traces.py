"""Traces that servers are measured with: requests, and how many are in flight at once.

Deterministic by seed. Every turn of a measurement draws its own texts, because a server that keeps
prefixes would otherwise answer the second turn from memory.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.inputs.corpus import Writer

CANDIDATES = 16
CANDIDATE_TOKENS = (75, 225)
ROLLOUT_TOKENS = (50, 1500)
GROUP = 8
"""Rollouts of one prompt, as group-relative policy optimisation samples them."""


@dataclass(frozen=True)
class Request:
    """One prompt and candidate answers to it."""

    prompt: str
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class Trace:
    """Requests in order; the next one is sent as soon as fewer than `at_once` are under way."""

    name: str
    at_once: int
    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Plan:
    """A kind of trace, how many requests it has unless told, and what makes them."""

    says: str
    requests: int
    at_once: int
    make: Callable[[Writer, random.Random, int], list[Request]]


def make_trace(name: str, writer: Writer, seed: int, requests: int | None = None) -> Trace:
    """One of `PLANS`; `requests` overrides how many there are."""
    plan = PLANS[name]
    count = requests or plan.requests
    rng = random.Random(f"{name} {seed}")
    return Trace(name, min(plan.at_once, count), tuple(plan.make(writer, rng, count)))


def best_of(writer: Writer, rng: random.Random, prompt: int, candidates: int) -> Request:
    """A prompt of so many tokens, and candidates of 75 to 225 tokens."""
    lengths = [rng.randint(*CANDIDATE_TOKENS) for _ in range(candidates)]
    answers = tuple(writer.answer(rng, length) for length in lengths)
    return Request(writer.prompt(rng, prompt), answers)


def _best_of_16(prompt: int) -> Callable[[Writer, random.Random, int], list[Request]]:
    def make(writer: Writer, rng: random.Random, count: int) -> list[Request]:
        return [best_of(writer, rng, prompt, CANDIDATES) for _ in range(count)]

    return make


def _singles(prompt: int) -> Callable[[Writer, random.Random, int], list[Request]]:
    """One candidate of every prompt; prompts begin differently, so next to nothing is shared."""

    def make(writer: Writer, rng: random.Random, count: int) -> list[Request]:
        return [best_of(writer, rng, prompt, 1) for _ in range(count)]

    return make


def _rollouts(writer: Writer, rng: random.Random, count: int) -> list[Request]:
    """Single scores of 50 to 1500 tokens, short ones oftener; shuffled as they would arrive."""
    found: list[Request] = []
    for _ in range(math.ceil(count / GROUP)):
        prompt = rng.choice(writer.corpus.problems)
        found += [Request(prompt, (_response(writer, rng, prompt),)) for _ in range(GROUP)]
    rng.shuffle(found)
    return found[:count]


def _response(writer: Writer, rng: random.Random, prompt: str) -> str:
    low, high = ROLLOUT_TOKENS
    total = round(math.exp(rng.uniform(math.log(low), math.log(high))))
    spent = len(writer.tokenizer.encode(prompt, add_special_tokens=False).ids)
    return writer.answer(rng, max(1, total - spent))


PLANS = {
    "best-of-16 P=100": Plan("16 candidates of a prompt of 100 tokens", 6, 2, _best_of_16(100)),
    "best-of-16 P=600": Plan("16 candidates of a prompt of 600 tokens", 4, 2, _best_of_16(600)),
    "best-of-16 P=2000": Plan("16 candidates of a prompt of 2000 tokens", 2, 2, _best_of_16(2000)),
    "rollouts": Plan(
        "single scores of 50 to 1500 tokens, 8 of each prompt, all at once", 256, 256, _rollouts
    ),
    "interactive": Plan("one candidate of a prompt of 100 tokens", 24, 1, _singles(100)),
    "nothing shared": Plan("one candidate of a prompt of 600 tokens", 48, 16, _singles(600)),
}
"""By name. Candidates have 75 to 225 tokens except in rollouts."""


def describe(names: Sequence[str]) -> str:
    """A sentence for each trace."""
    return " ".join(f"*{name}*: {PLANS[name].says}." for name in names)
