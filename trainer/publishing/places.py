"""Where a release can be pushed to, and read back from."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from reward_model.release.release import Release, open_release
from trainer.pipeline.stage import StageError

HUB = "hf://"


class Destination(Protocol):
    """A folder somewhere that holds one release, or nothing.

    Raises, in all methods:
        StageError: the place cannot be reached, or does not allow it.
    """

    @property
    def url(self) -> str: ...

    def names(self) -> set[str]:
        """Relative names of all files there; empty when there is no such place yet."""

    def read(self, name: str) -> bytes:
        """A small file."""

    def put(self, folder: Path, names: list[str], manifest: str, stale: set[str]) -> None:
        """Copy files from `folder`, delete the stale ones, and compare what arrived, each once.

        `manifest` never appears before the others: the last of all, or together with them.

        Raises:
            StageError: a file did not arrive whole.
        """

    def differing(self, folder: Path, names: list[str]) -> list[str]:
        """Those whose content there is not that in `folder`, by the hashes of what is stored."""

    def download(self, folder: Path) -> None:
        """All files, into a folder."""


def open_place(url: str) -> Destination:
    """The hub for `hf://owner/name`, otherwise a local path or any URL that fsspec knows.

    Raises:
        StageError: there is no such kind of place, or its client is not installed.
    """
    if url.startswith(HUB):
        from trainer.publishing.hub_place import open_repository

        return open_repository(url.removeprefix(HUB))
    from trainer.publishing.file_place import open_folder

    return open_folder(url)


def require_whole(place: Destination, folder: Path, names: list[str]) -> None:
    """Raises StageError when a file there is not that in `folder`."""
    if lost := place.differing(folder, names):
        raise StageError(f"{place.url}: {', '.join(lost)} did not arrive whole: push again")


def verified(url: str) -> Release:
    """Open a release where it lies, or a copy of it that is gone afterwards.

    Raises:
        ReleaseError: it is not what its manifest says.
    """
    if "://" not in url:
        return open_release(Path(url))
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "release"
        copy.mkdir()
        open_place(url).download(copy)
        return open_release(copy)
