"""Mixed load of a soak: what each kind of client asks, and what it may be answered."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.inputs.corpus import Writer
from benchmarks.inputs.traces import Request

EMPTY, TOO_LONG = "empty", "too_long"
"""Errors of single candidates, by their codes."""


@dataclass(frozen=True)
class Order:
    """One request of the native dialect.

    Attributes:
        errors: what candidates must be answered instead of a score, by their places.
        leave_after: seconds until the client goes away, if it does.
    """

    kind: str
    request: Request
    priority: str = "interactive"
    errors: Mapping[int, str] = field(default_factory=dict)
    leave_after: float | None = None

    @property
    def body(self) -> dict[str, object]:
        request = self.request
        entry = {"prompt": request.prompt, "candidates": list(request.candidates)}
        return {"inputs": [entry], "priority": self.priority}


@dataclass(frozen=True)
class Pool:
    """A fixed set of texts, so that each is scored often, in other company every time."""

    pairs: Sequence[Request]
    endless: str

    def order(self, kind: str, rng: random.Random) -> Order:
        """The next request of a client of this kind."""
        texts = rng.choice(self.pairs)
        some = Request(texts.prompt, _some(texts, rng))
        match kind:
            case "interactive":
                return Order(kind, Request(texts.prompt, some.candidates[:1]))
            case "bulk":
                return Order(kind, texts, priority="bulk")
            case "empty candidate":
                return Order(kind, _with(some, ""), errors={len(some.candidates): EMPTY})
            case "too long":
                longer = _with(some, self.endless)
                return Order(kind, longer, errors={len(some.candidates): TOO_LONG})
            case "leaves":
                return Order(kind, texts, leave_after=rng.uniform(0.0, 0.2))
            case _:
                return Order(kind, some)


KINDS = ("interactive", "bulk", "rollouts", "empty candidate", "too long", "leaves")


def make_pool(writer: Writer, max_tokens: int, prompts: int = 24, candidates: int = 24) -> Pool:
    """Prompts of 30 to a third of `max_tokens`, with answers of up to a third."""
    rng = random.Random("soak")
    third = max_tokens // 3
    pairs = [
        Request(
            writer.prompt(rng, rng.randint(30, third)),
            tuple(writer.answer(rng, rng.randint(5, min(third, 225))) for _ in range(candidates)),
        )
        for _ in range(prompts)
    ]
    return Pool(pairs, writer.answer(rng, max_tokens + 1))


def _with(texts: Request, last: str) -> Request:
    return Request(texts.prompt, (*texts.candidates, last))


def _some(texts: Request, rng: random.Random) -> tuple[str, ...]:
    return tuple(rng.sample(texts.candidates, rng.randint(1, 8)))
