"""Several models' scores of the same candidates as one: a weighted sum of the normalised ones."""

from dataclasses import dataclass

from service.scoring.types import ItemScore, Scored, Timings


@dataclass(frozen=True, slots=True)
class Part:
    """One model's scores, and how much they count."""

    weight: float
    scored: Scored

    @property
    def key(self) -> str:
        return f"{self.scored.model}@{self.scored.version}"


def combined(parts: list[Part]) -> Scored:
    """As if one model had given the sums; an item that some part could not score has its error.

    Every part's scores are normalised, because raw logits of different models do not compare.
    """
    columns = zip(*(part.scored.items() for part in parts), strict=True)
    items = iter([_sum(parts, column) for column in columns])
    first = parts[0].scored
    return Scored(
        model="+".join(part.scored.model for part in parts),
        version="+".join(part.scored.version for part in parts),
        inputs=tuple(tuple(next(items) for _ in entry) for entry in first.inputs),
        computed_tokens=sum(part.scored.computed_tokens for part in parts),
        saved_tokens=sum(part.scored.saved_tokens for part in parts),
        timings=_slowest(parts),
    )


def _sum(parts: list[Part], column: tuple[ItemScore, ...]) -> ItemScore:
    tokens = sum(item.tokens for item in column)
    dropped = max(item.dropped for item in column)
    if error := next((item.error for item in column if item.error), None):
        return ItemScore(tokens, error=error, dropped=dropped)
    total = 0.0
    for part, item in zip(parts, column, strict=True):
        assert item.normalized is not None, "only calibrated models are composed"
        total += part.weight * item.normalized
    cached = all(item.cached for item in column)
    return ItemScore(tokens, total, total, cached=cached, dropped=dropped)


def _slowest(parts: list[Part]) -> Timings:
    """They ran side by side."""
    return max((part.scored.timings for part in parts), key=lambda timings: timings.total)
