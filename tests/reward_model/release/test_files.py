"""Weights are safetensors of the checkpoint's own folder, and only regular files are opened."""

import json
import os
import socket
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from reward_model.release import release
from reward_model.release.files import INDEX, WEIGHTS, ReleaseError, is_note, weight_files
from reward_model.release.lora import open_checkpoint
from tests.checkpoints import make_checkpoint
from tests.releases import make_release, rewrite_manifest
from tests.reward_model.release.adapters import change, make_adapter, make_base

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    return make_checkpoint(tmp_path / "model")


def shard(folder: Path, name: str, index: str = INDEX) -> None:
    """Move the weights into one file of that name, which an index names for all of them."""
    names = load_file(folder / WEIGHTS)
    target = folder / name
    target.parent.mkdir(exist_ok=True, parents=True)
    (folder / WEIGHTS).rename(target)
    content = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, name)}
    (folder / index).write_text(json.dumps(content))


def test_shards_of_the_folder_are_loaded(bare: Path) -> None:
    shard(bare, "model-00001-of-00001.safetensors")
    release.open_release(bare)
    assert weight_files(bare) == [bare / "model-00001-of-00001.safetensors"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weights.dat", "only .*safetensors are ever loaded"),
        ("weights.txt", "only .*safetensors are ever loaded"),
        ("pytorch_model.bin", "only .*safetensors are ever loaded"),
        ("weights.SAFETENSORS", "only .*safetensors are ever loaded"),
        ("../outside.safetensors", "outside of its folder"),
        ("sub/inside.safetensors", "outside of its folder"),
    ],
)
def test_an_index_that_names_anything_else_is_refused(bare: Path, name: str, message: str) -> None:
    shard(bare, name)
    with pytest.raises(ReleaseError, match=f"index.json: .*{message}"):
        release.open_release(bare)


def test_an_absolute_path_and_a_link_out_are_refused(bare: Path, tmp_path: Path) -> None:
    save_file(load_file(bare / WEIGHTS), tmp_path / "other.safetensors")
    shard(bare, "part.safetensors")
    index = json.loads((bare / INDEX).read_text())
    for name in (str(tmp_path / "other.safetensors"), "", "..", 3):
        index["weight_map"] = {"score.weight": name}
        (bare / INDEX).write_text(json.dumps(index))
        with pytest.raises(ReleaseError, match=r"outside of its folder|no index|only"):
            release.open_release(bare)
    (bare / INDEX).write_text(json.dumps({"weight_map": {"score.weight": "link.safetensors"}}))
    (bare / "link.safetensors").symlink_to(tmp_path / "other.safetensors")
    with pytest.raises(ReleaseError, match="links to a file outside of its folder"):
        release.open_release(bare)


def test_the_links_of_hugging_faces_cache_are_followed(tmp_path: Path) -> None:
    snapshot = make_checkpoint(tmp_path / "models--a--b" / "snapshots" / "0123")
    shard(snapshot, "part.safetensors")
    (blobs := tmp_path / "models--a--b" / "blobs").mkdir()
    (snapshot / "part.safetensors").rename(blobs / "abc")
    (snapshot / "part.safetensors").symlink_to("../../blobs/abc")
    assert release.open_release(snapshot).labels == 1


def test_an_index_of_another_format_lies_beside_safetensors(bare: Path) -> None:
    """As in many models on the hub, which have both."""
    content = {"weight_map": {"score.weight": "pytorch_model.bin"}}
    (bare / "pytorch_model.bin.index.json").write_text(json.dumps(content))
    release.open_release(bare)
    (bare / WEIGHTS).rename(bare / "other.safetensors")
    with pytest.raises(ReleaseError, match=r"neither model\.safetensors nor"):
        release.open_release(bare)


def test_other_ways_to_name_weights_are_refused(bare: Path) -> None:
    shards = bare / "shard-00000-model-00000-of-00001.safetensors"
    shards.write_bytes((bare / WEIGHTS).read_bytes())
    with pytest.raises(ReleaseError, match="distributed checkpoint"):
        release.open_release(bare)
    shards.unlink()
    config = json.loads((bare / "config.json").read_text())
    (bare / "config.json").write_text(json.dumps(config | {"transformers_weights": "x.bin"}))
    with pytest.raises(ReleaseError, match="transformers_weights"):
        release.open_release(bare)


@pytest.mark.parametrize("name", ["weights.dat", "part.safetensors"])
def test_a_releases_index_names_only_files_of_its_manifest(tmp_path: Path, name: str) -> None:
    folder = make_release(tmp_path / "rm")
    manifest = json.loads((folder / release.MANIFEST).read_text())
    shard(folder, name)
    with pytest.raises(ReleaseError, match=r"not in release\.json|only"):
        release.open_release(folder)
    assert name not in manifest["files"]


def test_listed_weights_that_another_loader_might_take_are_refused(tmp_path: Path) -> None:
    folder = make_release(tmp_path / "rm")
    save_file(load_file(folder / WEIGHTS), folder / "consolidated.safetensors")
    rewrite_manifest(folder)
    with pytest.raises(ReleaseError, match=r"consolidated.*no part of the model"):
        release.open_release(folder)


@pytest.mark.parametrize("name", ["x.dat", "weights", "vocab.TXT", "model.onnx", ".metadata"])
def test_every_file_of_a_release_but_notes_is_listed(tmp_path: Path, name: str) -> None:
    folder = make_release(tmp_path / "rm")
    (folder / "NOTES.md").write_text("fine")
    (folder / ".cache/huggingface").mkdir(parents=True)
    (folder / ".cache/huggingface/config.json.metadata").write_text("fine")
    release.open_release(folder)
    (folder / name).write_text("odd")
    with pytest.raises(ReleaseError, match=r"not in release\.json"):
        release.open_release(folder)


@pytest.mark.parametrize("name", ["pytorch_model.BIN", "a.Pkl", "model.h5", "__0_0.distcp"])
def test_pickles_are_refused_in_letters_of_any_case(tmp_path: Path, name: str) -> None:
    folder = make_release(tmp_path / "rm")
    (folder / name).write_bytes(b"\x80")
    rewrite_manifest(folder)
    with pytest.raises(ReleaseError, match="never served"):
        release.open_release(folder)


def test_a_release_with_an_adapters_config_is_not_opened_as_that_adapter(tmp_path: Path) -> None:
    folder = make_release(tmp_path / "rm")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ReleaseError, match=r"adapter_config\.json: not in release\.json"):
        open_checkpoint(folder)
    rewrite_manifest(folder)
    with pytest.raises(ReleaseError, match="on top of the weights"):
        open_checkpoint(folder)


def test_a_changed_release_is_no_base_of_an_adapter(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    folder = make_release(tmp_path / "rm")
    change(adapter, base_model_name_or_path=str(folder))
    assert open_checkpoint(adapter).path == folder
    weights = load_file(folder / WEIGHTS)
    save_file({name: weight + 1 for name, weight in weights.items()}, folder / WEIGHTS)
    with pytest.raises(ReleaseError, match="sha256"):
        open_checkpoint(adapter)


@pytest.mark.parametrize(
    "name",
    ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "release.json"],
)
def test_what_is_no_regular_file_is_refused_unopened(bare: Path, name: str) -> None:
    (bare / name).unlink(missing_ok=True)
    os.mkfifo(bare / name)
    with pytest.raises(ReleaseError, match=f"{name}: is no regular file"):
        open_checkpoint(bare)
    (bare / name).unlink()
    (bare / name).mkdir()
    with pytest.raises(ReleaseError, match=f"{name}: is a folder"):
        open_checkpoint(bare)
    (bare / name).rmdir()
    (bare / name).symlink_to("/dev/zero")
    with pytest.raises(ReleaseError, match=f"{name}: is no regular file"):
        open_checkpoint(bare)
    (bare / name).unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(bare / name))
        with pytest.raises(ReleaseError, match=f"{name}: is no regular file"):
            open_checkpoint(bare)


def test_a_template_file_that_is_a_pipe_is_refused_unopened(bare: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "template.jinja")
    with pytest.raises(ReleaseError, match=r"template\.jinja: is no regular file"):
        open_checkpoint(bare, chat_template=tmp_path / "template.jinja")


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "x.json"])
def test_pipes_in_an_adapter_are_refused_unopened(tmp_path: Path, name: str) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    (adapter / name).unlink(missing_ok=True)
    os.mkfifo(adapter / name)
    with pytest.raises(ReleaseError, match=f"{name}: is no regular file"):
        open_checkpoint(adapter)


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("README.md", True),
        ("LICENSE", True),
        ("license.txt", True),
        ("plots/a.png", True),
        (".gitattributes", True),
        ("merges.txt", False),
        ("README.json", False),
        ("sub/.cache", False),
    ],
)
def test_notes_are_told_from_files_that_matter(name: str, note: bool) -> None:
    assert is_note(name) == note
