"""Losses by their papers' equations, and what the log says of pairs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainer.policy.losses import (
    LogRatios,
    figures_of,
    ipo_loss,
    minor_dpo_loss,
    sigmoid_loss,
)

RATIO = st.floats(-30, 30)
BETA = st.floats(0.01, 1)


def ratios(chosen: float, rejected: float, tokens: tuple[float, float] = (4.0, 5.0)) -> LogRatios:
    one, two = tokens
    return LogRatios(
        *(torch.tensor([v], dtype=torch.float64) for v in (chosen, rejected, one, two))
    )


def sigma(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def number(loss: Tensor) -> float:
    return float(loss)


@given(RATIO, RATIO, BETA, st.floats(0, 0.49))
def test_label_smoothing_mixes_a_pair_with_the_pair_turned_round(
    chosen: float, rejected: float, beta: float, smoothing: float
) -> None:
    own = -math.log(sigma(beta * (chosen - rejected)))
    turned = -math.log(sigma(beta * (rejected - chosen)))
    found = number(sigmoid_loss(ratios(chosen, rejected), beta, smoothing))
    assert found == pytest.approx((1 - smoothing) * own + smoothing * turned, rel=1e-6)


@given(RATIO, RATIO, BETA)
def test_minor_dpo_is_dpo_until_the_rejected_answer_is_below_its_reference(
    chosen: float, rejected: float, beta: float
) -> None:
    found = number(minor_dpo_loss(ratios(chosen, rejected), beta, 0.0))
    expected = number(sigmoid_loss(ratios(chosen, max(0.0, rejected)), beta, 0.0))
    assert found == pytest.approx(expected)


def test_a_clamped_rejected_answer_has_no_gradient() -> None:
    for rejected, pushed in ((-0.5, False), (0.5, True)):
        value = torch.tensor([rejected], requires_grad=True)
        given_ratios = LogRatios(torch.ones(1), value, torch.ones(1), torch.ones(1))
        minor_dpo_loss(given_ratios, 0.1, 0.0).sum().backward()
        assert value.grad is not None
        assert bool(value.grad.abs() > 0) == pushed
        assert bool(figures_of(given_ratios, 0.1)["rejected_clamped"]) != pushed


@given(RATIO, RATIO, BETA)
def test_ipo_pulls_the_difference_of_mean_log_ratios_to_half_of_one_over_beta(
    chosen: float, rejected: float, beta: float
) -> None:
    found = number(ipo_loss(ratios(chosen, rejected, (4.0, 5.0)), beta, 0.0))
    assert found == pytest.approx((chosen / 4 - rejected / 5 - 1 / (2 * beta)) ** 2)
