"""What comes back. Plain values, in the order of what was asked."""

from dataclasses import dataclass

RAW = "raw_logit"
"""Type of the scores of one model; several models' are weighted sums, which do not compare."""


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one candidate has no score; its neighbours are not touched."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class StepScore:
    """The raw logit where a step ends, after `end` characters of the candidate."""

    end: int
    raw: float


@dataclass(frozen=True, slots=True)
class Score:
    """One candidate's.

    Attributes:
        raw: the model's logit; None if there is an error.
        normalized: standard deviations above the mean of the release's reference set; None for a
            model without calibration.
        tokens: of the whole conversation with this candidate, as scored.
        tokens_dropped: cut out of the prompt, because that was asked for.
        steps: empty if not asked for.
    """

    raw: float | None
    normalized: float | None
    tokens: int
    error: ItemError | None = None
    tokens_dropped: int = 0
    steps: tuple[StepScore, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """One prompt's, with the scores in the order of its candidates.

    Attributes:
        score_type: the server's name for what `Score.raw` holds, `raw_logit` unless several models
            scored together.
    """

    scores: tuple[Score, ...]
    model: str
    version: str
    score_type: str = RAW

    @property
    def ranking(self) -> tuple[int, ...]:
        """Places of the candidates that have a score, best first; of equals the earlier one."""
        scored = [(-score.raw, at) for at, score in enumerate(self.scores) if score.raw is not None]
        return tuple(at for _, at in sorted(scored))

    @property
    def best(self) -> int | None:
        """First of the ranking."""
        return next(iter(self.ranking), None)
