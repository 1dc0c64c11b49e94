"""The default release is the one that needs a base, unless that cannot be had."""

from pathlib import Path

import pytest

from reward_model.release import release
from reward_model.release.packaged_base import PACKAGED
from service.default_model import default_model
from service.settings import DEFAULT_MODEL
from tests.releases import adapter_release

# PEFT 0.21 asks for an attribute that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

PACKAGE = next(iter(PACKAGED))


@pytest.fixture
def preferred(tmp_path: Path) -> Path:
    """A release whose base is said to come in a package."""
    path = adapter_release(tmp_path)
    manifest = release.read_manifest(path)
    assert manifest.base is not None
    base = manifest.base.model_copy(update={"name": PACKAGE})
    release.write_manifest(path, manifest.model_copy(update={"base": base}))
    return path


def test_without_that_release_the_other_one_is_served(tmp_path: Path) -> None:
    assert default_model(tmp_path, tmp_path / "none") == DEFAULT_MODEL


def test_a_base_that_is_there_is_not_fetched(
    preferred: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bases" / PACKAGE).mkdir(parents=True)
    (tmp_path / "bases" / PACKAGE / "config.json").touch()
    capsys.readouterr()  # what made the release, which may be the first test to do so
    assert default_model(tmp_path / "bases", preferred) == preferred
    assert capsys.readouterr().err == ""


def test_offline_one_sentence_says_so_and_the_other_release_is_served(
    preferred: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert default_model(tmp_path / "bases", preferred) == DEFAULT_MODEL
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "is fetched once" in told[0]
    assert f"cannot be served, so {DEFAULT_MODEL.name} is" in told[1]
    assert "pip does not get it" in told[1]


def test_a_release_that_was_changed_is_not_the_default(
    preferred: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (preferred / "config.json").write_text("{}")
    assert default_model(tmp_path / "bases", preferred) == DEFAULT_MODEL
    assert "its sha256 is not the one" in capsys.readouterr().err
