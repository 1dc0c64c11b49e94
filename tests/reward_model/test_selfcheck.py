import math

import pytest
import torch

from reward_model.selfcheck import Scores, disagreement

PLAIN: Scores = [[1.0, -4.0], [0.5]]


def moved(by: float) -> Scores:
    return [[score + by for score in scores] for scores in PLAIN[:1]]


@pytest.mark.parametrize(
    ("dtype", "gap", "agrees"),
    [
        (torch.float32, 0.0, True),
        # Relative to the largest plain score, which is 4.
        (torch.float32, 3e-4, True),
        (torch.float32, 5e-4, False),
        (torch.bfloat16, 7e-2, True),
        (torch.bfloat16, 9e-2, False),
        (torch.float32, math.nan, False),
    ],
)
def test_the_tolerance_follows_the_dtype_and_the_scores(
    dtype: torch.dtype, gap: float, agrees: bool
) -> None:
    reason = disagreement("packed", PLAIN[:1], lambda: moved(gap), dtype)
    assert (reason is None) is agrees
    assert agrees or "the self-check found packed and plain scores" in str(reason)


def test_small_scores_are_compared_absolutely() -> None:
    assert disagreement("flat", [[1e-6]], lambda: [[5e-5]], torch.float32) is None


def test_a_forward_that_fails_is_a_reason_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> Scores:
        raise NotImplementedError

    reason = disagreement("flat", PLAIN[:1], fails, torch.float32)
    assert reason == "the flat forward fails here with NotImplementedError"
    assert "failed its self-check" in caplog.text


def test_scores_of_another_shape_do_not_agree() -> None:
    assert disagreement("flat", [[1.0, 2.0]], lambda: [[1.0, 2.0, 3.0]], torch.float32)
