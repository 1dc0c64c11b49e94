"""Counts a server's answers under mixed load, and compares each text's scores."""

from collections import Counter
from dataclasses import dataclass, field

from pydantic import BaseModel

from benchmarks.inputs.mix import Order


class _Error(BaseModel):
    code: str


class _Row(BaseModel):
    score: float | None
    error: _Error | None


class _Result(BaseModel):
    scores: list[_Row]


class _Answer(BaseModel):
    results: list[_Result]


@dataclass
class Ledger:
    """Requests and answers by kind, and the first score of every text."""

    answered: Counter[str] = field(default_factory=Counter)
    left: int = 0
    refused: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    first: dict[tuple[str, str], float] = field(default_factory=dict)
    compared: int = 0
    largest_change: float = 0.0

    def enter(self, order: Order, answer: bytes) -> None:
        """An answer; each of its scores is compared with the text's first."""
        (result,) = _Answer.model_validate_json(answer).results
        texts = order.request.candidates
        for place, (text, row) in enumerate(zip(texts, result.scores, strict=True)):
            expected = order.errors.get(place)
            code = row.error.code if row.error else None
            if code != expected:
                self.faults[f"{order.kind}: error {code} instead of {expected}"] += 1
            elif row.score is not None:
                self._compare((order.request.prompt, text), row.score)
        self.answered[order.kind] += 1

    def _compare(self, text: tuple[str, str], score: float) -> None:
        if text in self.first:
            self.compared += 1
        change = abs(score - self.first.setdefault(text, score))
        self.largest_change = max(self.largest_change, change)
