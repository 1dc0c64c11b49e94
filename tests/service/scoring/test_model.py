from pathlib import Path

import pytest

from reward_model.release.release import ReleaseError
from reward_model.text.chat import Message
from service.scoring.model import open_model
from service.settings import Settings
from tests.checkpoints import make_checkpoint

CHAT = (Message("user", "add two numbers"), Message("assistant", "def add(a, b): ..."))


def test_a_checkpoint_becomes_a_model(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "tiny")
    model = open_model(Settings(model=str(path)))
    assert model.name == "tiny"
    assert model.engine.facts.dtype == "float32"
    assert model.engine.facts.shares_prefixes
    model.engine.warm_up()
    sequence = model.encoder.encode(CHAT)
    (alone,), (company, _) = model.engine.score([sequence]), model.engine.score([sequence] * 2)
    assert alone == pytest.approx(company, abs=1e-5)
    model.engine.close()


def test_its_name_can_be_set(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "tiny")
    assert open_model(Settings(model=str(path), model_name="mine")).name == "mine"


@pytest.mark.parametrize("name", ["tiny@1", "tiny+other", "tiny,other", " tiny", "ti\nny"])
def test_a_folder_s_name_that_requests_would_misread_is_refused(name: str, tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / name)
    with pytest.raises(ReleaseError, match="--model-name"):
        open_model(Settings(model=str(path)))
    assert open_model(Settings(model=str(path), model_name="tiny")).name == "tiny"


def test_bfloat16_on_request(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "tiny")
    assert open_model(Settings(model=str(path), dtype="bfloat16")).engine.facts.dtype == "bfloat16"
