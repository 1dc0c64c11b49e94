"""Raw score -> normalised score, and what raw scores are expected. Fitting is the trainer's."""

import math
from itertools import pairwise
from statistics import NormalDist
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_Finite = Annotated[float, Field(allow_inf_nan=False)]


def _ascending(cuts: tuple[float, ...]) -> tuple[float, ...]:
    """Of equal ones one would bound a part that holds nothing, where a tenth is expected."""
    if any(left >= right for left, right in pairwise(cuts)):
        raise ValueError("must ascend")
    return cuts


Deciles = Annotated[
    tuple[_Finite, ...], Field(min_length=9, max_length=9), AfterValidator(_ascending)
]
"""Nine scores that cut a distribution into ten parts of equal probability."""


class Calibration(BaseModel):
    """Mean and standard deviation of raw scores over a reference set of `n` candidates.

    `deciles` are that set's own. None in releases of before they were kept, and where scores are
    equal so often that there are none; then they are left out of what is written, so that the seal
    of an older release still holds.

    `temperature` turns a difference of two raw scores of one prompt into a probability:
    `sigmoid((a - b) / temperature)` that the first answer is the better one. None, and left out
    likewise, in releases of before it was fitted, and where the reference pairs have no best one.
    """

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
        """Standard score: reference standard deviations above the reference mean."""
        assert math.isfinite(raw), "non-finite scores are errors before they are calibrated"
        return (raw - self.mean) / self.std

    def expected_deciles(self) -> tuple[float, ...]:
        """The reference set's own, or those of a normal distribution with its mean and std."""
        return self.deciles or tuple(NormalDist(self.mean, self.std).quantiles(10))
