import shutil
from pathlib import Path

import pytest

from trainer.feedback.serving import find_policy, identify
from trainer.pipeline.stage import StageError, read_manifest
from trainer.policy.start_policy import StartPolicyConfig, check, run


def make_model(folder: Path, template: str = "{{ messages }}") -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    if template:
        (folder / "chat_template.jinja").write_text(template)
    return folder


def test_stages_that_name_it_find_the_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    run(StartPolicyConfig("model"), tmp_path / "work", tmp_path / "work" / "start")
    monkeypatch.chdir("/")
    assert find_policy("start", tmp_path / "work") == model
    assert read_manifest(tmp_path / "work" / "start")["weights"] == identify(model).digest


def test_what_is_missing_is_said_before_a_run(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", template="")
    with pytest.raises(StageError, match="has no chat template"):
        check(StartPolicyConfig(str(model)), tmp_path)
    shutil.rmtree(model)
    with pytest.raises(StageError, match="no stage"):
        check(StartPolicyConfig(str(model)), tmp_path)
