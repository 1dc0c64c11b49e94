"""The seam of a push: a place elsewhere that holds one release, or nothing."""

from pathlib import Path
from typing import Protocol

from trainer.pipeline.stage import StageError


class Destination(Protocol):
    """A folder somewhere that holds one release, or nothing.

    Raises, in all methods:
        StageError: the destination cannot be reached, or does not allow it.
    """

    @property
    def url(self) -> str: ...

    def names(self) -> set[str]:
        """Relative names of all files there; empty if the destination does not exist yet."""

    def read(self, name: str) -> bytes:
        """Return the content of a small file."""

    def put(self, folder: Path, names: list[str], manifest: str, stale: set[str]) -> None:
        """Copy files from `folder`, delete the stale ones, and compare what arrived, each once.

        `manifest` never appears before the others: it arrives last, or together with them. A reader
        takes a folder for a release only if the manifest is there.

        Raises:
            StageError: a file did not arrive whole.
        """

    def differing(self, folder: Path, names: list[str]) -> list[str]:
        """Names whose stored content, by its hash, is not that of the file in `folder`."""

    def download(self, folder: Path) -> None:
        """Copy all files into a folder."""


def require_whole(destination: Destination, folder: Path, names: list[str]) -> None:
    """Raise StageError if a file at the destination is not the one in `folder`."""
    # Read back from the destination: a client that reports success may have sent half a file.
    if lost := destination.differing(folder, names):
        raise StageError(f"{destination.url}: {', '.join(lost)} did not arrive whole: push again")
