"""A checkpoint that LoRA trained, in two rounds, is published as an adapter of its base."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from reward_model.release import release
from reward_model.release.base import digest
from reward_model.release.checkpoint import load_model
from reward_model.release.lora import open_checkpoint
from reward_model.release.release import open_release
from tests.checkpoints import make_checkpoint
from tests.reward_model.release.adapters import unmerged
from tests.service.fakes import unready
from tests.trainer.recipes.test_finetune import chat_model
from trainer.pipeline.overrides import overridden
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.running import run_recipe, run_stage
from trainer.pipeline.stage import StageError
from trainer.publishing.adapter import (
    LowRankAdapter,
    changed_layers,
    difference_of,
    low_rank,
    plain_scores,
)
from trainer.recipes import open_recipe

# PEFT 0.21 asks for an attribute that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

WORDS = ("add", "item", "total", "limit", "fox", "dog", "jumps", "return")


def recipe(folder: Path, *settings: str) -> Recipe:
    return overridden(
        open_recipe("finetune"),
        [
            f"finetune.start={folder / 'chat'}",
            "finetune.lora.r=2",
            "preferences.calibration_share=0.1",
            "finetune.max_steps=4",
            "finetune.report_to=none",
            "finetune.max_length=100",
            "evaluate.resamples=50",
            'publish.adapter={"rank": 4, "dtype": "float32"}',
            *settings,
        ],
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    rows = [
        {
            "prompt": f"{WORDS[number % 8]} {number} numbers",
            "chosen": f"def {WORDS[number % 8]}(a, b): return a + {number}",
            "rejected": f"{WORDS[(number + 3) % 8]} {number}",
        }
        for number in range(120)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "preferences.jsonl").write_text(text)
    chat_model(folder / "chat")
    run_recipe(recipe(folder), folder, None, None)
    return folder


def test_the_release_is_an_adapter_beside_its_base(work: Path) -> None:
    opened = open_checkpoint(work / "release", bases=[work])
    assert (opened.adapter, opened.path) == (work / "release", work / "chat")
    assert opened.warnings == ()
    assert opened.calibration is not None
    manifest = release.read_manifest(work / "release")
    assert manifest.base is not None
    assert manifest.base.name == "chat"
    assert manifest.base.weights_sha256 == digest(work / "chat")
    assert not (work / "release" / "model.safetensors").exists()
    assert "adapter of rank 4 (float32)" in (work / "release" / "README.md").read_text()


async def test_the_service_replays_its_golden_scores(work: Path) -> None:
    assert await unready(work / "release") == (None, None)


def test_its_scores_are_the_whole_checkpoints_and_those_of_plain_peft(work: Path) -> None:
    texts = [tuple(range(7, 7 + length)) for length in (1, 9, 40)]
    whole = plain_scores(open_release(work / "finetune"), texts)
    published = plain_scores(open_checkpoint(work / "release", bases=[work]), texts)
    # What is lost is that the whole checkpoint is rounded to bfloat16.
    assert published == pytest.approx(whole, abs=0.05)
    assert unmerged(work / "chat", work / "release") == pytest.approx(published, abs=1e-4)


def test_the_score_head_is_whole_and_factors_have_the_dtype(work: Path, tmp_path: Path) -> None:
    run_stage("publish", recipe(work, "publish.adapter.dtype=bfloat16"), work)
    weights = load_file(work / "release" / "adapter_model.safetensors")
    trained = load_file(work / "finetune" / "model.safetensors")
    assert torch.equal(weights["base_model.model.score.weight"], trained["score.weight"])
    factors = {weight.dtype for name, weight in weights.items() if "lora_" in name}
    assert factors == {torch.bfloat16}
    config = json.loads((work / "release" / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])


def test_an_adapter_that_loses_too_much_is_not_published(work: Path) -> None:
    with pytest.raises(StageError, match=r"max_difference is 1e-09: raise adapter\.rank"):
        run_stage("publish", recipe(work, "publish.adapter.max_difference=1e-9"), work)


def test_another_base_than_training_started_from_is_not_named(work: Path, tmp_path: Path) -> None:
    other = make_checkpoint(tmp_path / "other", "llama", seed=5, tie_word_embeddings=True)
    changed = recipe(work, f"publish.adapter.base={other}")
    with pytest.raises(
        StageError, match=r"embed_tokens\.weight of the checkpoint is not its base's"
    ):
        run_stage("publish", changed, work)


def test_factors_of_a_low_rank_difference_give_it_back() -> None:
    torch.manual_seed(0)
    difference = torch.randn(24, 3) @ torch.randn(3, 16)
    down, up = low_rank(difference, 3)
    assert (down.shape, up.shape) == ((3, 16), (24, 3))
    torch.testing.assert_close(up @ down, difference, atol=1e-4, rtol=1e-4)


def test_a_layer_narrower_than_the_rank_is_padded() -> None:
    torch.manual_seed(0)
    difference = torch.randn(4, 6)
    down, up = low_rank(difference, 8)
    assert (down.shape, up.shape) == ((8, 6), (4, 8))
    torch.testing.assert_close(up @ down, difference, atol=1e-4, rtol=1e-4)


def test_only_kinds_of_layers_that_changed_are_stored(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "model", "llama")
    before, after = (load_model(open_release(path)) for _ in range(2))
    with pytest.raises(StageError, match="no linear layer differs"):
        changed_layers(before, after)
    with torch.no_grad():
        after.get_parameter("model.layers.1.self_attn.q_proj.weight").add_(1)
    assert changed_layers(before, after) == [f"model.layers.{n}.self_attn.q_proj" for n in (0, 1)]
    with torch.no_grad():
        after.get_parameter("model.norm.weight").add_(1)
    with pytest.raises(StageError, match=r"model.norm.weight of the checkpoint is not its base's"):
        changed_layers(before, after)


def test_differences_are_in_standard_deviations_and_orders_are_counted() -> None:
    found = difference_of([1.0, 0.0, 2.0, 0.0], [1.0, 0.0, -2.0, 0.0], std=2.0)
    assert (found.mean, found.largest, found.pairs, found.reordered) == (1.0, 2.0, 2, 1)


def test_defaults_fit_a_small_language_model() -> None:
    assert (LowRankAdapter().rank, LowRankAdapter().dtype) == (16, "bfloat16")
