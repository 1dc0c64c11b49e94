"""Does a fast way score as the plain forward does? Asked once, at load, on a probe batch."""

import logging
from collections.abc import Callable

import torch

Scores = list[list[float]]

_log = logging.getLogger(__name__)

_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 2e-2}
"""Largest difference accepted, in units of the largest plain score, at least 1."""


def disagreement(
    way: str, plain: Scores, fast: Callable[[], Scores], dtype: torch.dtype
) -> str | None:
    """Why the fast way, called `way`, must not be taken; None when it may."""
    try:
        gap = _largest_gap(plain, fast())
    except Exception as error:  # noqa: BLE001 - a kernel that fails here must not cost the model
        _log.warning("the %s forward failed its self-check", way, exc_info=error)
        return f"the {way} forward fails here with {type(error).__name__}"
    if gap <= _TOLERANCE[dtype]:
        return None
    return f"the self-check found {way} and plain scores {gap:.1e} apart"


def _largest_gap(plain: Scores, fast: Scores) -> float:
    left, right = torch.tensor(plain), torch.tensor(fast)
    scale = max(1.0, float(left.abs().max()))
    return float((left - right).abs().max()) / scale
