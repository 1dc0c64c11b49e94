"""Normalizes raw scores, and knows the distribution of raw scores that is expected.

The trainer fits these numbers (`trainer.evaluation.calibrate`).
"""

import math
from itertools import pairwise
from statistics import NormalDist
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_Finite = Annotated[float, Field(allow_inf_nan=False)]


def _ascending(cuts: tuple[float, ...]) -> tuple[float, ...]:
    # Between two equal cuts no score falls, while a tenth of all scores is expected there.
    if any(left >= right for left, right in pairwise(cuts)):
        raise ValueError("must ascend")
    return cuts


Deciles = Annotated[
    tuple[_Finite, ...], Field(min_length=9, max_length=9), AfterValidator(_ascending)
]
"""Nine scores that cut a distribution into ten parts of equal probability."""


class Calibration(BaseModel):
    """Mean and standard deviation of raw scores over a reference set of `n` candidates.

    Attributes:
        reference: the name of that set.
        deciles: those of the set's raw scores. None in older releases, and where equal scores are
            so frequent that there are no nine different cuts.
        temperature: `sigmoid((a - b) / temperature)` is the probability that the answer with raw
            score a is better than one to the same prompt with raw score b. None in older releases,
            and where the reference pairs determine none.
    """

    # None is left out of what is written, so that the seal of an older release still holds.
    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: _Finite
    std: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    n: Annotated[int, Field(ge=2)]
    reference: str
    deciles: Deciles | None = Field(None, exclude_if=lambda deciles: deciles is None)
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, exclude_if=lambda temperature: temperature is None
    )

    def apply(self, raw: float) -> float:
        """Return the standard score: standard deviations above the reference set's mean."""
        assert math.isfinite(raw), "non-finite scores are errors before they are calibrated"
        return (raw - self.mean) / self.std

    def expected_deciles(self) -> tuple[float, ...]:
        """The reference set's deciles, or those of a normal distribution with its mean and std."""
        return self.deciles or tuple(NormalDist(self.mean, self.std).quantiles(10))
