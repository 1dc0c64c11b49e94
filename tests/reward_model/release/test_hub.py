from pathlib import Path

import pytest
from huggingface_hub.utils._paths import filter_repo_objects

from reward_model.release.hub import FILES, OTHER_FORMS, locate
from reward_model.release.release import ReleaseError


def test_a_directory_is_taken_before_the_hub_is_asked(tmp_path: Path) -> None:
    assert locate(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["no-such-directory", "./a/b/c", "/no/such/dir"])
def test_what_is_neither_a_directory_nor_a_hub_id(name: str) -> None:
    with pytest.raises(ReleaseError, match="no such directory; name one, or a hub id"):
        locate(name)


def test_a_hub_id_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ReleaseError, match=r"nobody/nothing: .*check the name and the network"):
        locate("nobody/nothing")


def test_weights_are_downloaded_once_and_pickles_never() -> None:
    wanted = ["model.safetensors", "config.json", "additional_chat_templates/rag.jinja"]
    others = ["pytorch_model.bin", "consolidated.safetensors", "original/model.safetensors"]
    others += ["onnx/model.onnx", "onnx/config.json", "tf_model.h5", "code.py"]
    files = filter_repo_objects(wanted + others, allow_patterns=FILES, ignore_patterns=OTHER_FORMS)
    assert list(files) == wanted
