"""Results of a call: plain values, in the order of its inputs and candidates."""

from collections.abc import Mapping
from dataclasses import dataclass, field

RAW = "raw_logit"
"""The score type of a single model. Scores of several models or criteria are weighted sums."""


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one candidate has no score; the others have theirs."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class StepScore:
    """The raw logit at the end of a step, after `end` characters of the candidate."""

    end: int
    raw: float


@dataclass(frozen=True, slots=True)
class PartScore:
    """One of the scores that a weighted sum is made of; None where that one has an error."""

    weight: float
    raw: float | None
    normalized: float | None


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one candidate, or why it has none.

    Attributes:
        raw: the model's logit, or the weighted sum of `parts`; None if there is an error.
        normalized: standard deviations above the mean of the release's reference set; None for a
            model without calibration.
        tokens: the length of the conversation with this candidate, as scored.
        tokens_dropped: tokens that were cut from the prompt, if truncation was asked for.
        steps: scores of the steps; empty unless `Options.steps` asked for them.
        parts: scores by the names of the criteria, labels or models that were asked for together.
    """

    raw: float | None
    normalized: float | None
    tokens: int
    error: ItemError | None = None
    tokens_dropped: int = 0
    steps: tuple[StepScore, ...] = ()
    parts: Mapping[str, PartScore] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """The scores of one prompt, in the order of its candidates.

    Attributes:
        score_type: the server's name for what `Score.raw` holds: `raw_logit`, or what it is a
            weighted sum of, `weighted_raw` or `weighted_normalized`.
    """

    scores: tuple[Score, ...]
    model: str
    version: str
    score_type: str = RAW

    @property
    def ranking(self) -> tuple[int, ...]:
        """Indices of the candidates that have a score, the best first; ties are broken by index."""
        scored = [(-score.raw, i) for i, score in enumerate(self.scores) if score.raw is not None]
        return tuple(index for _, index in sorted(scored))

    @property
    def best(self) -> int | None:
        """The first index of `ranking`; None if no candidate has a score."""
        return next(iter(self.ranking), None)
