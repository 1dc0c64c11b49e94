"""A merged adapter scores as the adapter that was not merged."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from reward_model.release.checkpoint import load_model
from reward_model.release.lora import open_checkpoint
from reward_model.release.lora_merge import modules_of
from reward_model.release.release import ReleaseError
from tests.checkpoints import make_checkpoint
from tests.reward_model.release.adapters import make_adapter, make_base, scores, unmerged

# PEFT 0.21 asks for an attribute that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.mark.parametrize(
    "lora",
    [
        {},
        {"task_type": "SEQ_CLS"},
        {"use_rslora": True},
        {"use_dora": True},
        {"target_modules": "all-linear", "task_type": "SEQ_CLS"},
    ],
)
def test_the_score_is_that_of_the_unmerged_adapter(tmp_path: Path, lora: dict[str, object]) -> None:
    base = make_base(tmp_path)
    adapter = make_adapter(tmp_path, base, saved=["score"], **lora)
    assert scores(adapter) == pytest.approx(unmerged(base, adapter), abs=1e-4)


def test_a_head_of_another_name_that_peft_saves_by_itself(tmp_path: Path) -> None:
    base = make_base(tmp_path, "roberta")
    adapter = make_adapter(
        tmp_path, base, saved=None, target_modules=["query", "dense"], task_type="SEQ_CLS"
    )
    assert scores(adapter) == pytest.approx(unmerged(base, adapter), abs=1e-4)


def test_a_head_that_the_base_has_and_the_adapter_has_not(tmp_path: Path) -> None:
    base = make_checkpoint(tmp_path / "base", "llama")
    adapter = make_adapter(tmp_path, base, saved=None)
    assert scores(adapter) == pytest.approx(unmerged(base, adapter), abs=1e-4)


def test_it_is_merged_before_it_is_cast(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    adapter = make_adapter(tmp_path, base, saved=["score"])
    release = open_checkpoint(adapter)
    exact = load_model(release, device="cpu", dtype="float32")
    cast = load_model(release, device="cpu", dtype="bfloat16")
    for (name, weight), (_, expected) in zip(
        cast.named_parameters(), exact.named_parameters(), strict=True
    ):
        assert torch.equal(weight, expected.to(weight.dtype)), name


def test_a_head_in_neither_of_them(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=None)
    with pytest.raises(ReleaseError, match=r'score\.weight.*modules_to_save=\["score"\]'):
        scores(adapter)


def drop_a_matrix(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    weights.pop(next(name for name in weights if "lora_B" in name))
    save_file(weights, file)


def add_a_stranger(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    save_file(load_file(file) | {"base_model.model.odd.lora_A.weight": torch.ones(1)}, file)


def widen_the_head(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if "score" in name)
    save_file(weights | {name: weights[name].repeat(2, 1)}, file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda path: (path / "adapter_model.safetensors").write_text("x"),
            r"adapter_model\.safetensors: cannot be read",
        ),
        (drop_a_matrix, "the adapter holds no .*lora_B"),
        (add_a_stranger, "the base has no place for .*odd"),
        (widen_the_head, "does not fit its base.*size mismatch"),
    ],
)
def test_weights_that_do_not_fit_say_why(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    spoil(adapter)
    with pytest.raises(ReleaseError, match=f"(?s){message}"):
        scores(adapter)


def test_modules_are_named_once_and_sorted() -> None:
    assert modules_of({"score.weight", "a.b.bias", "a.b.weight"}) == ["a.b", "score"]


def grow(base: Path, adapter: Path, rows: int) -> None:
    """Give the adapter an embedding of its own, as PEFT saves it for a resized vocabulary."""
    file = adapter / "adapter_model.safetensors"
    rows_of_base = load_file(base / "model.safetensors")["model.embed_tokens.weight"]
    grown = torch.cat([rows_of_base, torch.ones(rows - len(rows_of_base), rows_of_base.shape[1])])
    name = "base_model.model.model.embed_tokens.weight"
    save_file(load_file(file) | {name: grown}, file)


def rows_of(adapter: Path) -> int:
    embedding = load_model(open_checkpoint(adapter)).get_input_embeddings()
    assert isinstance(embedding, nn.Embedding)
    return embedding.num_embeddings


def test_a_grown_vocabulary_is_resized_to_the_rows_of_the_adapter(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    adapter = make_adapter(tmp_path, base, saved=["score"])
    before = scores(adapter)
    rows = rows_of(adapter)
    grow(base, adapter, rows + 3)
    assert rows_of(adapter) == rows + 3
    assert scores(adapter) == pytest.approx(before, abs=1e-5)
    assert open_checkpoint(adapter).embeddings == rows + 3


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
def test_a_grown_vocabulary_without_its_rows_is_to_be_merged_first(tmp_path: Path) -> None:
    adapter = make_adapter(
        tmp_path, make_base(tmp_path), saved=["score"], target_modules=["q_proj", "embed_tokens"]
    )
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    (name,) = (name for name in weights if name.endswith("lora_embedding_A"))
    weights = {n: w for n, w in weights.items() if "base_layer" not in n}
    weights[name] = torch.cat([weights[name], torch.ones(4, 2)], dim=1).contiguous()
    save_file(weights, file)
    with pytest.raises(ReleaseError, match="does not hold the rows of the new tokens; merge it"):
        load_model(open_checkpoint(adapter))


def test_names_of_weights_are_no_patterns(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    file = adapter / "adapter_model.safetensors"
    save_file(load_file(file) | {"base_model.model.(a|a)+b.weight": torch.ones(1)}, file)
    with pytest.raises(ReleaseError, match="which is no module"):
        load_model(open_checkpoint(adapter))
