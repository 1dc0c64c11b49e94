from pathlib import Path

import pytest

from reward_model.release.hub import locate
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
