"""Order and integrity of a push, seen by file systems that write down or spoil what happens."""

from collections import Counter
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from reward_model.release.release import ReleaseError
from tests.releases import make_release
from trainer.pipeline.stage import StageError
from trainer.publishing.push import push, verified
from trainer.publishing.store import StoreDestination, open_store


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("store") / "release")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("store") / "other", golden_error=1.0)


def test_the_manifest_comes_last_and_goes_first(release: Path, other: Path, tmp_path: Path) -> None:
    """Seen by a file system that writes down what happens to it."""
    events: list[str] = []

    class Noted(LocalFileSystem):  # type: ignore[misc]
        cachable = False

        def put_file(self, source: str, target: str, *rest: object, **options: object) -> None:
            events.append(f"put {Path(target).name}")
            super().put_file(source, target, *rest, **options)

        def rm_file(self, path: str) -> None:
            events.append(f"rm {Path(path).name}")
            super().rm_file(path)

    root = str(tmp_path / "there")
    destination = StoreDestination(root, Noted(auto_mkdir=True), root)
    push(release, destination)
    assert events[-1] == "put release.json"
    assert events.count("put release.json") == 1
    events.clear()
    push(other, destination, force=True)
    assert (events[0], events[-1]) == ("rm release.json", "put release.json")


class Lossy(LocalFileSystem):  # type: ignore[misc]
    """Cuts one file short on its way; counts what is read back."""

    cachable = False

    def __init__(self, lost: str) -> None:
        super().__init__(auto_mkdir=True)
        self.lost = lost
        self.opened = Counter[str]()

    def put_file(self, source: str, target: str, *rest: object, **options: object) -> None:
        super().put_file(source, target, *rest, **options)
        if Path(target).name == self.lost:
            Path(target).write_bytes(Path(source).read_bytes()[:40])

    def open(self, path: str, *rest: object, **options: object) -> object:
        self.opened[Path(path).name] += 1
        return super().open(path, *rest, **options)


def test_every_file_is_read_back_once(release: Path, tmp_path: Path) -> None:
    root = str(tmp_path / "there")
    files = Lossy("none")
    push(release, StoreDestination(root, files, root))
    names = {file.name for file in release.rglob("*") if file.is_file()}
    assert files.opened == dict.fromkeys(names, 1)


@pytest.mark.parametrize("lost", ["model.safetensors", "release.json"])
def test_what_did_not_arrive_whole_is_told(release: Path, tmp_path: Path, lost: str) -> None:
    root = str(tmp_path / "there")
    with pytest.raises(StageError, match=rf"{lost} did not arrive whole: push again"):
        push(release, StoreDestination(root, Lossy(lost), root))
    with pytest.raises(ReleaseError):
        verified(root)


def test_a_file_that_is_missing_or_changed_differs(release: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "there"))
    assert store.names() == set()
    assert store.differing(release, ["config.json"]) == ["config.json"]
    push(release, store)
    (tmp_path / "there" / "config.json").write_bytes(b"changed")
    assert store.differing(release, ["config.json", "golden.jsonl"]) == ["config.json"]
