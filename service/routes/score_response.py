"""The native dialect's answer: raw logits, an error for each candidate that has none."""

from typing import Literal

from pydantic import BaseModel, Field

from service.ask import Ask, Input, ItemScore, Scored, Whole, rank
from service.errors import ItemErrorCode
from service.model import Model


class CandidateError(BaseModel):
    code: ItemErrorCode
    message: str


class StepScore(BaseModel):
    end: int = Field(description="Characters of the candidate up to the step's end.")
    score: float = Field(description="Raw logit of the candidate, read where the step ends.")


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
    score_type: Literal["raw_logit"] = "raw_logit"
    results: list[InputResult]
    usage: Usage


def to_response(request_id: str, model: Model, ask: Ask, scored: Scored) -> ScoreResponse:
    return ScoreResponse(
        id=f"score-{request_id}",
        model=model.name,
        version=model.release.version,
        results=[
            _result(items, entry) for items, entry in zip(scored.inputs, ask.inputs, strict=True)
        ],
        usage=Usage(tokens=scored.tokens, computed_tokens=scored.computed_tokens),
    )


def _result(items: tuple[ItemScore, ...], entry: Input | Whole) -> InputResult:
    assert isinstance(entry, Input)
    ranking = rank(items)
    ends = entry.step_ends or (None,) * len(items)
    scores = [
        _candidate(index, item, steps)
        for index, (item, steps) in enumerate(zip(items, ends, strict=True))
    ]
    return InputResult(scores=scores, ranking=ranking, best=next(iter(ranking), None))


def _candidate(index: int, item: ItemScore, ends: tuple[int, ...] | None) -> CandidateScore:
    error = item.error
    return CandidateScore(
        index=index,
        score=item.raw,
        normalized=item.normalized,
        tokens=item.tokens,
        truncated=item.dropped > 0,
        tokens_dropped=item.dropped,
        steps=None if ends is None or error else _steps(ends, item.steps),
        error=CandidateError(code=error.code, message=error.message) if error else None,
    )


def _steps(ends: tuple[int, ...], scores: tuple[float, ...]) -> list[StepScore]:
    return [StepScore(end=end, score=score) for end, score in zip(ends, scores, strict=True)]
