"""A release that was touched in any way is refused, by the name of the file and a remedy."""

import json
from pathlib import Path

import pytest

from reward_model.release.manifest import Criterion
from reward_model.release.release import (
    CRITERIA,
    GOLDEN,
    MANIFEST,
    ReleaseError,
    file_names,
    open_release,
    writing,
)
from tests.checkpoints import make_checkpoint
from tests.releases import make_release, rewrite_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_release(tmp_path / "rm")


def test_a_release_says_what_it_is(folder: Path) -> None:
    release = open_release(folder)
    assert (release.name, release.version, release.max_tokens) == ("test-rm", "1", 512)
    assert release.calibration is not None
    assert (len(release.golden), release.pad_id, release.warnings) == (1, None, ())


def test_one_flipped_byte_of_any_file_is_found(folder: Path) -> None:
    for name in file_names(folder):
        file = folder / name
        original = file.read_bytes()
        file.write_bytes(bytes([original[0] ^ 1]) + original[1:])
        with pytest.raises(ReleaseError, match=f"{name}.*(sha256|again)"):
            open_release(folder)
        file.write_bytes(original)
    open_release(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    for name in file_names(folder):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises(ReleaseError, match=f"{name}: missing"):
            open_release(folder)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("name", ["model.pkl", "pytorch_model.bin", "sub/optimizer.pt"])
def test_a_pickle_is_refused_even_when_listed(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\x80\x04.")
    rewrite_manifest(folder)
    with pytest.raises(ReleaseError, match=f"{name}.*remove it"):
        open_release(folder)


@pytest.mark.parametrize("name", ["adapter_config.json", "extra.safetensors", "code.py"])
def test_an_unlisted_file_that_a_loader_could_pick_up_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("{}")
    with pytest.raises(ReleaseError, match=f"{name}.*remove it"):
        open_release(folder)


def test_links_that_lead_out_of_sight_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for target in (tmp_path / "elsewhere", tmp_path / "nowhere"):
        (folder / "additional_chat_templates").symlink_to(target)
        with pytest.raises(ReleaseError, match=r"additional_chat_templates.*links to"):
            open_release(folder)
        (folder / "additional_chat_templates").unlink()


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_template_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None
) -> None:
    checkpoint, file = make_checkpoint(tmp_path / "model"), tmp_path / "template.jinja"
    if content:
        file.write_bytes(content)
    with pytest.raises(ReleaseError, match=r"template\.jinja"):
        open_release(checkpoint, chat_template=file)


def test_two_labels_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"]
    (folder / "config.json").write_text(json.dumps(config))
    rewrite_manifest(folder)
    with pytest.raises(ReleaseError, match=r"config\.json.*2 labels.*num_labels=1"):
        open_release(folder)


@pytest.mark.parametrize("content", ["", "{}", "not json", '{"messages": [], "score": 1}'])
def test_golden_scores_that_cannot_be_read_are_refused(folder: Path, content: str) -> None:
    (folder / GOLDEN).write_text(content)
    rewrite_manifest(folder)
    with pytest.raises(ReleaseError, match=r"golden\.jsonl.*publish again"):
        open_release(folder)


def test_a_manifest_that_is_not_one_is_refused_by_field(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["calibration"]["std"] = 0
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ReleaseError, match=r"release\.json: calibration\.std"):
        open_release(folder)


def test_a_release_keeps_its_own_template(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="drop --chat-template"):
        open_release(folder, chat_template=tmp_path / "other.jinja")


@pytest.mark.parametrize("written", [[], [GOLDEN], [GOLDEN, MANIFEST]])
def test_an_interrupted_publish_leaves_no_readable_release(
    tmp_path: Path, written: list[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        _publish_and_interrupt(tmp_path / "rm", written)
    (left,) = tmp_path.iterdir()
    with pytest.raises(ReleaseError, match="publishing was cut short"):
        open_release(left)


def _publish_and_interrupt(target: Path, written: list[str]) -> None:
    with writing(target) as draft:
        make_checkpoint(draft)
        for name in written:
            (draft / name).write_text("{}")
        raise KeyboardInterrupt


def test_the_dtype_of_a_bare_checkpoint_is_what_it_was_stored_in(tmp_path: Path) -> None:
    config = make_checkpoint(tmp_path) / "config.json"
    assert open_release(tmp_path).dtype == "float32"
    for name in ("dtype", "torch_dtype"):
        stored = json.loads(config.read_text()) | {"dtype": None, name: "bfloat16"}
        config.write_text(json.dumps(stored))
        assert open_release(tmp_path).dtype == "bfloat16"


def test_a_failed_publish_keeps_the_earlier_release(folder: Path) -> None:
    with pytest.raises(ReleaseError, match="manifest"), writing(folder):
        pass
    assert open_release(folder).name == "test-rm"


def test_a_bare_checkpoint_is_served_with_a_warning(tmp_path: Path) -> None:
    release = open_release(make_checkpoint(tmp_path / "my-model", pad_is_eos=True))
    assert (release.name, release.version) == ("my-model", "unversioned")
    assert release.pad_id == 2
    assert "bare checkpoint" in release.warnings[0]
    assert release.calibration is None


def test_a_bare_checkpoint_has_the_criteria_that_its_training_wrote(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    assert open_release(tmp_path).criteria == {}
    (tmp_path / CRITERIA).write_text('{"taste": {"prompt": "Judge it."}}')
    assert open_release(tmp_path).criteria == {"taste": Criterion(prompt="Judge it.")}
    (tmp_path / CRITERIA).write_text('["taste"]')
    with pytest.raises(ReleaseError, match="is no object of criteria; train"):
        open_release(tmp_path)


def test_a_bare_checkpoint_with_pickled_weights_only_is_refused(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ReleaseError, match="safetensors"):
        open_release(tmp_path)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no such directory"):
        open_release(tmp_path / "nowhere")
    with pytest.raises(ReleaseError, match=r"config\.json: missing"):
        open_release(tmp_path)
