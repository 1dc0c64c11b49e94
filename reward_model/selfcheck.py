"""The self-check at load: does a fast forward give the plain forward's scores on a probe batch?"""

import logging
from collections.abc import Callable

import torch

Scores = list[list[float]]
"""Raw scores of a batch: one list a sequence, one score a label at each read position."""

_log = logging.getLogger(__name__)

# Largest accepted difference, relative to the largest plain score or to 1, whichever is more.
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 2e-2}


def disagreement(
    name: str, plain: Scores, fast: Callable[[], Scores], dtype: torch.dtype
) -> str | None:
    """Return why the fast forward called `name` must not be used; None when it agrees.

    Args:
        plain: scores of the plain forward on the probe batch.
        fast: computes the same scores by the fast forward.
        dtype: the backbone's, which decides the tolerance.
    """
    try:
        expected, scores = torch.tensor(plain), torch.tensor(fast())
        gap = float((expected - scores).abs().max())
    except Exception as error:  # noqa: BLE001 - a kernel that fails here must not cost the model
        _log.warning("the %s forward failed its self-check", name, exc_info=error)
        return f"the {name} forward fails here with {type(error).__name__}"
    gap /= max(1.0, float(expected.abs().max()))
    # Not `gap > tolerance`: a NaN compares false with everything and must not pass.
    if gap <= _TOLERANCE[dtype]:
        return None
    return f"the self-check found {name} and plain scores {gap:.1e} apart"
