"""A push to the hub is one commit. The server is ours, the client and the protocol its own."""

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
from huggingface_hub import HfApi

from reward_model.release.release import open_release
from tests.releases import make_release
from tests.trainer.publishing.hub_server import Hub, running
from trainer.pipeline.stage import StageError
from trainer.publishing.hub import HubDestination, open_repository
from trainer.publishing.push import push


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' environment says offline; this hub is on this machine."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running() as server:
        yield server


def destination_on(hub: Hub) -> HubDestination:
    return HubDestination("owner/tiny", api=HfApi(endpoint=hub.url, token="hf_test"))


def test_pushed_in_one_commit_and_read_back(hub: Hub, tmp_path: Path) -> None:
    release, destination = make_release(tmp_path / "release"), destination_on(hub)
    assert "pushed test-rm 1 to hf://owner/tiny" in push(release, destination)
    assert (hub.commits, hub.private) == (1, {"owner/tiny": True})
    (tmp_path / "copy").mkdir()
    destination.download(tmp_path / "copy")
    assert open_release(tmp_path / "copy").version == "1"
    assert "nothing was pushed" in push(release, destination)
    assert hub.commits == 1


def test_another_release_is_replaced_only_by_force(hub: Hub, tmp_path: Path) -> None:
    release, destination = make_release(tmp_path / "release"), destination_on(hub)
    other = make_release(tmp_path / "other", golden_error=1.0)
    push(release, destination)
    with pytest.raises(StageError, match="replace it with --force"):
        push(other, destination)
    push(other, destination, force=True)
    assert destination.differing(other, ["golden.jsonl", "release.json"]) == []


def test_what_is_damaged_there_is_seen_and_mended(hub: Hub, tmp_path: Path) -> None:
    release, destination = make_release(tmp_path / "release"), destination_on(hub)
    push(release, destination)
    hub.repositories["owner/tiny"]["golden.jsonl"] = b"{}"
    assert destination.differing(release, ["config.json", "golden.jsonl"]) == ["golden.jsonl"]
    push(release, destination)
    assert destination.differing(release, ["golden.jsonl"]) == []


def test_what_did_not_arrive_whole_is_told(hub: Hub, tmp_path: Path) -> None:
    hub.lost = "golden.jsonl"
    with pytest.raises(StageError, match=r"golden\.jsonl did not arrive whole: push again"):
        push(make_release(tmp_path / "release"), destination_on(hub))


def test_a_hub_that_is_not_there_is_told(tmp_path: Path) -> None:
    with running() as server:
        destination = destination_on(server)
    with pytest.raises(StageError, match="check the name, the network"):
        push(make_release(tmp_path / "release"), destination)


@pytest.mark.parametrize("name", ["owner", "owner/name/more", "../x", ""])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(StageError, match="write hf://owner/name"):
        open_repository(name)


def test_a_revision_may_be_named() -> None:
    assert open_repository("owner/name@v1").url == "hf://owner/name@v1"
