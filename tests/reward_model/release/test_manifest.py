from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from reward_model.release.manifest import Criterion, Manifest, seal_of
from reward_model.release.release import MANIFEST, ReleaseError, open_release, read_manifest
from tests.releases import make_release


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("release") / "rm")


def test_one_flipped_byte_anywhere_is_found(folder: Path) -> None:
    file = folder / MANIFEST
    original = file.read_bytes()
    for place in range(0, len(original), 3):
        changed = bytes([original[place] ^ 1])
        file.write_bytes(original[:place] + changed + original[place + 1 :])
        with pytest.raises(ReleaseError, match=MANIFEST):
            open_release(folder)
    file.write_bytes(original)
    assert read_manifest(folder).seal


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../x", "a/../../x", "..", "a/..", "", "a\\b", "a/", "x" * 256]
)
def test_files_lie_below_the_release(folder: Path, name: str) -> None:
    facts = read_manifest(folder).model_dump() | {"files": {name: "0" * 64}}
    with pytest.raises(ValidationError, match="files"):
        Manifest.model_validate(facts)


@pytest.mark.parametrize("name", ["model.safetensors", ".hidden", "sub/a.b.json", "a..b"])
def test_usual_names_are_taken(folder: Path, name: str) -> None:
    facts = read_manifest(folder).model_dump() | {"files": {name: "0" * 64}}
    assert Manifest.model_validate(facts).files.keys() == {name}


@pytest.mark.parametrize("tolerance", [0.0, 1e9, float("inf"), float("nan")])
def test_a_tolerance_that_tolerates_all_is_none(folder: Path, tolerance: float) -> None:
    facts = read_manifest(folder).model_dump() | {"golden_tolerance": tolerance}
    with pytest.raises(ValidationError, match="golden_tolerance"):
        Manifest.model_validate(facts)


def test_a_date_of_the_template_is_sealed_and_a_manifest_without_one_is_as_before(
    folder: Path,
) -> None:
    manifest = read_manifest(folder)
    assert "template_date" not in manifest.model_dump_json()
    encoding = manifest.encoding.model_copy(update={"template_date": date(2026, 1, 2)})
    dated = manifest.model_copy(update={"encoding": encoding})
    assert seal_of(dated) != seal_of(manifest)
    assert Manifest.model_validate_json(dated.model_dump_json()) == dated


def test_criteria_are_sealed_and_a_manifest_without_any_is_as_before(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert "criteria" not in manifest.model_dump_json()
    criteria = {
        "correctness": Criterion(prompt="Judge whether it is correct."),
        "readability": Criterion(prompt="Judge how it reads.", weight=0.5, by_default=True),
    }
    judging = manifest.model_copy(update={"criteria": criteria})
    assert seal_of(judging) != seal_of(manifest)
    assert Manifest.model_validate_json(judging.model_dump_json()) == judging


@pytest.mark.parametrize("name", ["", " x", "a,b", "a=b", "x" * 101, "ä"])
def test_names_of_criteria_can_be_written_in_a_list(folder: Path, name: str) -> None:
    facts = read_manifest(folder).model_dump() | {"criteria": {name: {"prompt": "x"}}}
    with pytest.raises(ValidationError, match="criteria"):
        Manifest.model_validate(facts)
