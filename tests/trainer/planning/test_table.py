import pytest

from trainer.planning.cost import Memory
from trainer.planning.gpus import GPUS, Devices
from trainer.planning.plan import StagePlan
from trainer.planning.table import duration, render, short_count

DEVICES = Devices(GPUS["h200"], 64, 0.4)


def test_a_line_a_stage_a_total_and_the_assumptions() -> None:
    memory = Memory(weights=1e9, gradients=2e9, optimizer=0.0, activations=4e9)
    plans = [
        StagePlan("corpus", ("runs no model",)),
        StagePlan("pretrain", ("10 steps", "assumed"), 2.5e9, 3e15, memory, 3600.0, 15e9),
    ]
    head, corpus, pretrain, total, _, *notes = render(plans, DEVICES).split("\n")
    assert head.split() == ["stage", "tokens", "PFLOPs", "GB/device", "time", "disk", "GB"]
    assert corpus.split() == ["corpus", "-", "-", "-", "-", "0.00"]
    assert pretrain.split() == ["pretrain", "2.5B", "3", "7.00", "1:00:00", "15.00"]
    assert total.split() == ["all", "1:00:00", "15.00"]
    assert notes[0].startswith("On 64 x H200 141 GB, at 40% of 989 TFLOP/s each")
    assert notes[-2:] == [
        "  pretrain: 10 steps; assumed",
        "  pretrain: weights 1.00 GB, gradients 2.00 GB, activations 4.00 GB",
    ]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1500, "1.5k"), (2e6, "2.0M"), (3.2e9, "3.2B"), (4e12, "4.0T")],
)
def test_counts_are_short(number: float, text: str) -> None:
    assert short_count(number) == text


def test_less_than_a_second_is_no_zero() -> None:
    assert [duration(0.2), duration(90061.4)] == ["< 1 s", "1 day, 1:01:01"]
