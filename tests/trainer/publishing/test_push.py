"""Pushed to a folder, to memory and to a real S3 server; read back, refused, replaced, mended."""

import shutil
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from reward_model.release.release import ReleaseError
from tests.releases import make_release
from trainer.pipeline.stage import StageError
from trainer.publishing.push import open_destination, push, verified
from trainer.publishing.store import StoreDestination

WITHOUT_S3 = pytest.mark.skipif(
    find_spec("s3fs") is None or find_spec("moto") is None,
    reason="s3fs and moto are not installed: scripts/install s3 dev",
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("push") / "release")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, with other golden scores and without the pad of the first."""
    return make_release(tmp_path_factory.mktemp("push") / "other", golden_error=1.0)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a bucket on a server of its own, on a free port."""
    import s3fs
    from moto.server import ThreadedMotoServer

    patch = pytest.MonkeyPatch()
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        patch.setenv(name, value)
    s3fs.S3FileSystem().mkdir("releases")
    yield "s3://releases"
    server.stop()
    patch.undo()


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=WITHOUT_S3)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty destination of each kind."""
    name = uuid.uuid4().hex
    if request.param == "s3":
        return f"{request.getfixturevalue('s3')}/{name}/tiny"
    return f"memory://{name}/tiny" if request.param == "memory" else str(tmp_path / "to" / "tiny")


def folder_at(url: str) -> StoreDestination:
    destination = open_destination(url)
    assert isinstance(destination, StoreDestination)
    return destination


def test_what_was_pushed_verifies_where_it_lies(release: Path, url: str) -> None:
    assert push(release, open_destination(url)).startswith("pushed test-rm 1 to ")
    assert verified(url).name == "test-rm"
    files = {file.relative_to(release).as_posix() for file in release.rglob("*") if file.is_file()}
    assert open_destination(url).names() == files


def test_the_same_release_is_not_pushed_twice(release: Path, url: str) -> None:
    push(release, open_destination(url))
    assert "nothing was pushed" in push(release, open_destination(url))


def test_another_release_is_replaced_only_by_force(release: Path, other: Path, url: str) -> None:
    push(release, open_destination(url))
    with pytest.raises(StageError, match="holds test-rm 1: push elsewhere"):
        push(other, open_destination(url))
    assert verified(url).golden == verified(str(release)).golden
    push(other, open_destination(url), force=True)
    assert verified(url).golden == verified(str(other)).golden


def test_files_of_the_old_release_alone_go_with_it(
    release: Path, other: Path, url: str, tmp_path: Path
) -> None:
    from tests.releases import rewrite_manifest

    wider = Path(shutil.copytree(release, tmp_path / "wider"))
    (wider / "notes.txt").write_text("of the old one\n")
    rewrite_manifest(wider)
    push(wider, open_destination(url))
    push(other, open_destination(url), force=True)
    assert "notes.txt" not in open_destination(url).names()


def test_a_damaged_or_interrupted_push_is_mended(release: Path, url: str) -> None:
    destination = folder_at(url)
    push(release, destination)
    destination.files.pipe_file(f"{destination.root}/model.safetensors", b"cut short")
    with pytest.raises(ReleaseError, match=r"model\.safetensors: its sha256"):
        verified(url)
    push(release, destination)
    destination.files.rm_file(f"{destination.root}/release.json")
    with pytest.raises(ReleaseError, match="publishing was cut short"):
        verified(url)
    push(release, destination)
    assert verified(url).version == "1"


def test_a_destination_with_other_peoples_files_is_left_alone(release: Path, url: str) -> None:
    destination = folder_at(url)
    if "://" not in url:
        Path(url).mkdir(parents=True)
    destination.files.pipe_file(f"{destination.root}/thesis.tex", b"mine")
    with pytest.raises(StageError, match=r"thesis\.tex, which belongs to no release"):
        push(release, destination, force=True)
    assert destination.names() == {"thesis.tex"}


def test_what_does_not_verify_is_not_pushed(release: Path, tmp_path: Path, url: str) -> None:
    broken = Path(shutil.copytree(release, tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"changed")
    with pytest.raises(ReleaseError, match="sha256"):
        push(broken, open_destination(url))
    assert open_destination(url).names() == set()


def test_a_destination_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no such directory"):
        verified(str(tmp_path / "nowhere"))
    with pytest.raises(StageError, match="there is nothing at this address"):
        verified("memory://nowhere")
    with pytest.raises(StageError, match="nonsense"):
        open_destination("nonsense://bucket/model")


@WITHOUT_S3
def test_a_store_that_refuses_is_told(release: Path, s3: str) -> None:
    with pytest.raises(StageError, match="check the address, the credentials"):
        push(release, open_destination(f"{s3}-that-nobody-made/model"))
