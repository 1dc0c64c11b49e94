"""The native dialect's answer: raw logits, an error for each candidate that has none."""

from typing import Literal

from pydantic import BaseModel, Field

from service.errors import ItemErrorCode
from service.scoring.ensemble import WeightedResult
from service.scoring.types import Chat, Item, ItemScore, ScoringRequest, ScoringResult, rank


class CandidateError(BaseModel):
    code: ItemErrorCode
    message: str


class StepScore(BaseModel):
    end: int = Field(description="Characters of the candidate up to the step's end.")
    score: float = Field(description="Raw logit of the candidate, read where the step ends.")


class PartScore(BaseModel):
    weight: float
    score: float | None = Field(description="Raw logit; null when this part has an error.")
    normalized: float | None


class CandidateScore(BaseModel):
    index: int = Field(description="Place among the candidates of the request.")
    score: float | None = Field(description="Raw logit; null when there is an error.")
    normalized: float | None = Field(
        description="Standard deviations above the mean of the release's reference set; null "
        "for a model without calibration."
    )
    tokens: int = Field(description="Of the whole conversation with this candidate, as scored.")
    truncated: bool = Field(description="Whether the prompt was cut to fit.")
    tokens_dropped: int = Field(description="That were cut out of the prompt.")
    steps: list[StepScore] | None = Field(description="In order; null if not asked for.")
    parts: dict[str, PartScore] | None = Field(
        description="By `name@version`, where several models were asked for; else null."
    )
    error: CandidateError | None


class InputResult(BaseModel):
    scores: list[CandidateScore]
    ranking: list[int] = Field(
        description="Candidates that have a score, best first; of equals the earlier goes first."
    )
    best: int | None = Field(description="First of the ranking.")


class Usage(BaseModel):
    tokens: int = Field(description="Of all candidates, each with its whole conversation.")
    computed_tokens: int = Field(description="That the model worked through: shared ones once.")


class ScoreResponse(BaseModel):
    id: str
    model: str
    version: str
    score_type: Literal["raw_logit", "weighted_normalized"] = Field(
        description="What `score` is: one model's raw logit, or the weighted sum of several "
        "models' normalised scores."
    )
    results: list[InputResult]
    usage: Usage


def to_response(
    request_id: str, ask: ScoringRequest, scored: ScoringResult, parts: list[WeightedResult]
) -> ScoreResponse:
    """Args:
    parts: what a composed score is the sum of; empty for one model's.
    """
    columns = zip(*(part.result.items() for part in parts), strict=True) if parts else None
    shares = [_parts(parts, column) for column in columns] if columns else [None] * ask.item_count
    remaining = iter(shares)
    return ScoreResponse(
        id=f"score-{request_id}",
        model=scored.model,
        version=scored.version,
        score_type="weighted_normalized" if parts else "raw_logit",
        results=[
            _result(items, asked, [next(remaining) for _ in items])
            for items, asked in zip(scored.inputs, ask.inputs, strict=True)
        ],
        usage=Usage(tokens=scored.tokens, computed_tokens=scored.computed_tokens),
    )


def _result(
    items: tuple[ItemScore, ...],
    asked: tuple[Item, ...],
    shares: list[dict[str, PartScore] | None],
) -> InputResult:
    ranking = rank(items)
    ends = [item.step_ends if isinstance(item, Chat) else None for item in asked]
    scores = [
        _candidate(index, item, steps, parts)
        for index, (item, steps, parts) in enumerate(zip(items, ends, shares, strict=True))
    ]
    return InputResult(scores=scores, ranking=ranking, best=next(iter(ranking), None))


def _candidate(
    index: int,
    item: ItemScore,
    ends: tuple[int, ...] | None,
    parts: dict[str, PartScore] | None,
) -> CandidateScore:
    error = item.error
    return CandidateScore(
        index=index,
        score=item.raw,
        normalized=item.normalized,
        tokens=item.tokens,
        truncated=item.dropped_tokens > 0,
        tokens_dropped=item.dropped_tokens,
        steps=None if ends is None or error else _steps(ends, item.steps),
        parts=parts,
        error=CandidateError(code=error.code, message=error.message) if error else None,
    )


def _steps(ends: tuple[int, ...], scores: tuple[float, ...]) -> list[StepScore]:
    return [StepScore(end=end, score=score) for end, score in zip(ends, scores, strict=True)]


def _parts(parts: list[WeightedResult], column: tuple[ItemScore, ...]) -> dict[str, PartScore]:
    return {
        part.key: PartScore(weight=part.weight, score=item.raw, normalized=item.normalized)
        for part, item in zip(parts, column, strict=True)
    }
