import pytest
import torch

from trainer.training.loop.meter import Meter
from trainer.training.objective.losses import TERMS, JointLoss


def loss(value: float, *differences: float) -> JointLoss:
    terms = {name: torch.tensor(value) for name in TERMS}
    return JointLoss(torch.tensor(value), terms, torch.tensor(differences))


def test_every_term_is_summed_within_a_step_and_averaged_over_steps() -> None:
    meter = Meter()
    for micro_batches in ([loss(1.0, 2.0), loss(2.0, -1.0)], [loss(5.0, 0.0)]):
        meter.begin_step()
        for each in micro_batches:
            meter.add(each, 10)
    found = meter.take()
    assert {name: found[f"loss_{name}"] for name in TERMS} == dict.fromkeys(TERMS, 4.0)
    assert found["accuracy"] == pytest.approx(0.5)  # one right, one wrong, one tie


def test_nothing_is_reported_without_a_step_or_twice() -> None:
    meter = Meter()
    assert meter.take() == {}
    meter.begin_step()
    meter.add(loss(1.0), 10)
    assert "accuracy" not in meter.take(), "there was no pair"
    assert meter.take() == {}


def test_tokens_are_counted_by_the_time_of_training_alone() -> None:
    meter = Meter()
    meter.begin_step()
    meter.add(loss(1.0), 600)
    meter.add(loss(1.0), 400)
    meter.exclude(-100.0)  # as if the step had taken a hundred seconds more
    assert meter.take()["tokens_per_second"] == pytest.approx(10, rel=0.01)
