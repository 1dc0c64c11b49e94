"""A release that is an adapter finds its base, and takes no other one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from reward_model.release import release
from reward_model.release.base import digest
from reward_model.release.lora import open_checkpoint, open_without_base
from reward_model.release.manifest import AdapterBase
from reward_model.release.release import ReleaseError, open_release
from tests.releases import adapter_release
from tests.reward_model.release.adapters import make_base, scores
from tests.service.fakes import unready

# PEFT 0.21 asks for an attribute that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def test_a_base_beside_the_release_is_found(tmp_path: Path) -> None:
    path = adapter_release(tmp_path)
    opened = open_checkpoint(path)
    assert (opened.adapter, opened.name) == (path, "test-rm")
    assert opened.path.resolve() == tmp_path / "base"
    assert opened.warnings == ()
    assert opened.golden
    assert opened.calibration is not None


async def test_the_service_is_ready_with_it(tmp_path: Path) -> None:
    assert await unready(adapter_release(tmp_path)) == (None, None)


async def test_a_wrong_golden_score_is_found(tmp_path: Path) -> None:
    reason, _ = await unready(adapter_release(tmp_path, golden_error=0.5))
    assert "GoldenMismatch" in str(reason)


def test_a_base_is_found_in_a_folder_of_bases(tmp_path: Path) -> None:
    path = adapter_release(tmp_path / "made")
    elsewhere = tmp_path / "bases"
    elsewhere.mkdir()
    shutil.move(tmp_path / "made" / "base", elsewhere / "base")
    assert open_checkpoint(path, bases=[elsewhere]).path == elsewhere / "base"
    with pytest.raises(ReleaseError, match=r"its base base \(digest .*\) is not here\. Put the"):
        open_checkpoint(path, bases=[tmp_path])


def test_another_base_is_refused_and_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    path = adapter_release(tmp_path)
    file = tmp_path / "base" / "model.safetensors"
    weights = load_file(file)
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, file, {"format": "pt"})
    message = r"base has other weights \(their digest is .*name the folder that holds base with --b"
    with pytest.raises(ReleaseError, match=f"(?s){message}.*Where to get it: the test"):
        open_checkpoint(path)


def test_the_config_of_the_base_counts_for_nothing(tmp_path: Path) -> None:
    path = adapter_release(tmp_path)
    before = scores(path)
    file = tmp_path / "base" / "config.json"
    changed = json.loads(file.read_text())
    changed["rope_parameters"] = {"rope_theta": 5.0, "rope_type": "default"}
    file.write_text(json.dumps(changed))
    assert scores(path) == before


def remove_weights(path: Path) -> None:
    (path / "adapter_model.safetensors").unlink()


def change_config(path: Path) -> None:
    file = path / "adapter_config.json"
    file.write_text(file.read_text().replace('"r": 4', '"r": 2'))


def add_weights(path: Path) -> None:
    shutil.copy(path / "adapter_model.safetensors", path / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove_weights, r"adapter_model\.safetensors: missing"),
        (change_config, "adapter_config.json: its sha256 is not the one"),
        (add_weights, "model.safetensors: not in release.json"),
    ],
)
def test_a_changed_release_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    path = adapter_release(tmp_path)
    spoil(path)
    for opener in (open_checkpoint, open_without_base):
        with pytest.raises(ReleaseError, match=message):
            opener(path)


def test_it_is_verified_without_its_base(tmp_path: Path) -> None:
    path = adapter_release(tmp_path)
    shutil.rmtree(tmp_path / "base")
    assert open_without_base(path).version == "1"


def test_whole_weights_are_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is an adapter of base, and whole weights are needed"):
        open_release(adapter_release(tmp_path))


def test_a_manifest_decides_what_a_release_is(tmp_path: Path) -> None:
    path = adapter_release(tmp_path)
    manifest = release.read_manifest(path)
    release.write_manifest(path, manifest.model_copy(update={"base": None}))
    with pytest.raises(ReleaseError, match=r"holds neither model\.safetensors"):
        open_checkpoint(path)


def test_the_digest_is_of_tensors_and_not_of_files(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    before = digest(base)
    weights = load_file(base / "model.safetensors")
    save_file(dict(reversed(weights.items())), base / "model.safetensors", {"note": "another"})
    assert digest(base) == before
    names = sorted(weights)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: weights[name] for name in part}, base / file)
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    (base / "model.safetensors").unlink()
    assert digest(base) == before
    save_file(
        {name: weights[name].bfloat16() for name in parts["a.safetensors"]}, base / "a.safetensors"
    )
    assert digest(base) != before


def test_a_base_that_the_hub_does_not_give(tmp_path: Path) -> None:
    path = adapter_release(tmp_path)
    manifest = release.read_manifest(path)
    assert manifest.base is not None
    base = AdapterBase(
        name="x", weights_sha256=manifest.base.weights_sha256, source="nobody/nothing@1"
    )
    release.write_manifest(path, manifest.model_copy(update={"base": base}))
    # As the adapter's config names it.
    assert open_checkpoint(path).path.resolve() == tmp_path / "base"
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(ReleaseError, match=r"nobody/nothing: .*the hub does not give it"):
        open_checkpoint(path)
