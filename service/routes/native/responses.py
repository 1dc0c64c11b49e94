"""Responses of the native dialect: raw logits, errors of single candidates, and the ranking."""

from pydantic import BaseModel, Field

from service.errors import ItemErrorCode
from service.scoring.types import Chat, ScoreType, ScoringRequest, ScoringResult, rank


class CandidateError(BaseModel):
    code: ItemErrorCode
    message: str


class StepScore(BaseModel):
    end: int = Field(description="Characters of the candidate up to the step's end.")
    score: float = Field(description="Raw logit of the candidate, read where the step ends.")


class PartScore(BaseModel):
    weight: float
    score: float | None = Field(description="Raw logit; null when this part has an error.")
    normalized: float | None = Field(description="As that of the candidate; null for a label.")


class CandidateScore(BaseModel):
    index: int = Field(description="Position among the candidates of the request.")
    score: float | None = Field(
        description="Raw logit, or the weighted sum of `parts`; null when there is an error."
    )
    normalized: float | None = Field(
        description="Standard deviations above the mean of the release's reference set; null "
        "for a model without calibration."
    )
    tokens: int = Field(description="Tokens of the conversation with this candidate, as scored.")
    truncated: bool = Field(description="Whether the prompt was cut to fit.")
    tokens_dropped: int = Field(description="Tokens that were cut out of the prompt.")
    steps: list[StepScore] | None = Field(description="In order; null if not asked for.")
    parts: dict[str, PartScore] | None = Field(
        description="What the score is the weighted sum of: by `name@version` where several "
        "models were asked for, otherwise by the names of criteria or labels; else null."
    )
    error: CandidateError | None


class InputResult(BaseModel):
    scores: list[CandidateScore]
    ranking: list[int] = Field(
        description="Candidates that have a score, best first; ties are broken by index."
    )
    best: int | None = Field(description="First of the ranking.")


class TokenUsage(BaseModel):
    tokens: int = Field(description="Tokens of all candidates, each with its whole conversation.")
    computed_tokens: int = Field(
        description="Tokens that the model worked through: shared ones once."
    )


class ScoreResponse(BaseModel):
    id: str
    model: str
    version: str
    score_type: ScoreType = Field(
        description="What `score` is: one model's raw logit, the weighted sum of its raw logits "
        "by several criteria, or the weighted sum of several models' normalized scores."
    )
    results: list[InputResult]
    usage: TokenUsage


def to_response(
    request_id: str, asked: ScoringRequest, result: ScoringResult, score_type: ScoreType
) -> ScoreResponse:
    """Make the response of a request."""
    results = []
    for items, scores in zip(asked.inputs, result.inputs, strict=True):
        candidates = []
        for index, (item, score) in enumerate(zip(items, scores, strict=True)):
            error, steps = score.error, None
            if isinstance(item, Chat) and item.step_ends is not None and not error:
                ends = zip(item.step_ends, score.steps, strict=True)
                steps = [StepScore(end=end, score=step) for end, step in ends]
            # A part keeps its own score where another part's error leaves the sum without one.
            parts = {
                name: PartScore(weight=part.weight, score=part.raw, normalized=part.normalized)
                for name, part in score.parts.items()
            }
            candidates.append(
                CandidateScore(
                    index=index,
                    score=score.raw,
                    normalized=score.normalized,
                    tokens=score.tokens,
                    truncated=score.dropped_tokens > 0,
                    tokens_dropped=score.dropped_tokens,
                    steps=steps,
                    parts=parts or None,
                    error=CandidateError(code=error.code, message=error.message) if error else None,
                )
            )
        ranking = rank(scores)
        best = ranking[0] if ranking else None
        results.append(InputResult(scores=candidates, ranking=ranking, best=best))
    return ScoreResponse(
        id=f"score-{request_id}",
        model=result.model,
        version=result.version,
        score_type=score_type,
        results=results,
        usage=TokenUsage(tokens=result.tokens, computed_tokens=result.computed_tokens),
    )
