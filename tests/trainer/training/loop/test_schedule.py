from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pipeline.stage import StageError
from trainer.training.config import Branch, TrainConfig
from trainer.training.loop.schedule import GROWTH, Schedule, schedule_of


def config(**changes: object) -> TrainConfig:
    given = {"start": "base", "prompts_per_step": 8, "learning_rate": 1e-3, **changes}
    return TrainConfig(**given)  # type: ignore[arg-type]  # a config's own fields


def test_an_epoch_is_as_many_steps_as_it_takes_to_see_every_row_once() -> None:
    assert schedule_of(config(), rows=17).total == 3
    assert schedule_of(config(num_train_epochs=2.0), rows=16).total == 4
    assert schedule_of(config(max_steps=7), rows=16).total == 7


def test_shares_become_steps() -> None:
    assert schedule_of(config(max_steps=100, warmup_ratio=0.03, decay_ratio=0.1), 1) == Schedule(
        100, 3, 10
    )
    assert schedule_of(config(max_steps=100, lr_scheduler_type="cosine"), 1) == Schedule(100, 3, 0)


@given(total=st.integers(1, 30_000), warmup=st.floats(0, 0.3), decay=st.floats(0, 0.5))
def test_branch_points_are_in_the_stable_phase_and_grow_as_the_paper_has_them(
    total: int, warmup: float, decay: float
) -> None:
    schedule = schedule_of(config(max_steps=total, warmup_ratio=warmup, decay_ratio=decay), 1)
    points = schedule.branch_points
    assert all(schedule.warmup <= p <= total - schedule.decay for p in points)
    assert pytest.approx(1.1892, abs=1e-4) == GROWTH
    assert all(later <= (earlier + 1) * GROWTH + 1 for earlier, later in pairwise(points))
    if points:
        assert points[-1] * GROWTH + 1 > total - schedule.decay


def test_the_documented_branch_leaves_from_a_branch_point() -> None:
    """docs/training.md: a trunk of 20,000 steps, and half of it."""
    trunk = schedule_of(config(max_steps=20_000, decay_ratio=0.0, branch_points=True), 1)
    assert 9_600 in trunk.branch_points
    half = schedule_of(
        config(max_steps=10_700, decay_ratio=0.0, branch_from=Branch("pretrain", 9_600)), 1
    )
    assert half.decay == 1_100


def test_a_branch_decays_from_where_it_leaves() -> None:
    branch = config(max_steps=100, warmup_ratio=0.03, branch_from=Branch("pretrain", 80))
    assert schedule_of(branch, 1) == Schedule(total=100, warmup=3, decay=20)


@pytest.mark.parametrize(
    "changes", [{"max_steps": 80}, {"max_steps": 100, "lr_scheduler_type": "cosine"}]
)
def test_a_branch_that_cannot_be_says_what_to_set(changes: dict[str, object]) -> None:
    with pytest.raises(StageError, match="set "):
        schedule_of(config(branch_from=Branch("pretrain", 80), **changes), 1)
