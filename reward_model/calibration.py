"""Raw score -> normalised score. Apply only; fitting is the trainer's."""

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Calibration(BaseModel):
    """Mean and standard deviation of raw scores over a reference set of `n` candidates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: Annotated[float, Field(allow_inf_nan=False)]
    std: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    n: Annotated[int, Field(ge=2)]
    reference: str

    def apply(self, raw: float) -> float:
        """Standard score: reference standard deviations above the reference mean."""
        assert math.isfinite(raw), "non-finite scores are errors before they are calibrated"
        return (raw - self.mean) / self.std
