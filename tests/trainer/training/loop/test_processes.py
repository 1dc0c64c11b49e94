"""Two processes that share a model by FSDP2 train it as one does alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trainer.training.stages import make_work, run_together, weights
from trainer.pipeline.stage import read_manifest
from trainer.training import pretrain
from trainer.training.loop.checkpoints import folder_of
from trainer.training.objective.losses import LossWeights
from trainer.training.pretrain import PretrainConfig

CONFIG = PretrainConfig(
    start="base",
    max_steps=5,
    prompts_per_step=4,
    learning_rate=3e-3,
    weights=LossWeights(tokens=0.5),
    optimizer="adamw",
    decay_ratio=0.2,
    warmup_ratio=0.2,
    bf16=False,
    branch_points=True,
    eval_steps=3,
    logging_steps=1,
    report_to="none",
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_work(tmp_path_factory.mktemp("work"))
    pretrain.run(CONFIG, folder, folder / "alone")
    run_together(CONFIG, folder, "together")
    return folder


def test_the_weights_are_the_same(work: Path) -> None:
    alone, together = weights(work / "alone"), weights(work / "together")
    base = weights(work / "base")
    assert alone.keys() == together.keys()
    for name, weight in alone.items():
        assert not weight.equal(base[name].to(weight.dtype)) or weight.ndim == 1
        torch.testing.assert_close(together[name].float(), weight.float(), rtol=1e-2, atol=1e-5)


def test_what_is_logged_is_gathered_before_it_is_averaged(work: Path) -> None:
    alone, together = (read_manifest(work / name)["log"] for name in ("alone", "together"))
    for left, right in zip(alone[:-1], together[:-1], strict=True):
        assert left.pop("tokens_per_second", 1.0) > 0
        right.pop("tokens_per_second", None)
        assert left == pytest.approx(right, rel=1e-3, abs=1e-5)
    assert sum("eval_accuracy" in line for line in together) == 2


def test_the_model_was_sharded(work: Path) -> None:
    """Else the test would compare plain copies."""
    saved = folder_of(work / "together") / "checkpoint-2"
    assert len(list((saved / "pytorch_model_fsdp_0").glob("__*.distcp"))) == 2


def test_two_processes_resume_what_two_began(work: Path) -> None:
    """From a branch point, as after a kill."""
    whole, left = replace(CONFIG, save_steps=2), "resumed"
    identity = folder_of(work / "together") / "checkpoint-2"
    target = folder_of(work / left) / "checkpoint-2"
    target.parent.mkdir()
    identity.rename(target)
    run_together(whole, work, left)
    resumed, together = weights(work / left), weights(work / "together")
    assert all(resumed[name].equal(together[name]) for name in together)
