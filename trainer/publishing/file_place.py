"""A folder on whatever fsspec knows: a disk, an S3-compatible store, memory."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fsspec import AbstractFileSystem
from fsspec.callbacks import TqdmCallback
from fsspec.core import url_to_fs

from reward_model.release.release import sha256
from trainer.pipeline.stage import StageError
from trainer.publishing.places import require_whole

_INSTALL = {"s3": "scripts/install s3", "s3a": "scripts/install s3"}


@dataclass(frozen=True)
class FilePlace:
    """See `Place`. A store has no transactions: the manifest's coming and going makes do."""

    url: str
    files: AbstractFileSystem
    root: str

    def names(self) -> set[str]:
        with _told(self):
            self.files.invalidate_cache()
            found = self.files.find(self.root) if self.files.exists(self.root) else []
        return {path.removeprefix(self.root).lstrip("/") for path in found}

    def read(self, name: str) -> bytes:
        with _told(self):
            content: bytes = self.files.cat_file(self._path(name))
        return content

    def put(self, folder: Path, names: list[str], manifest: str, stale: set[str]) -> None:
        with _told(self):
            if self.files.exists(self._path(manifest)):
                self.files.rm_file(self._path(manifest))
            for name in names:
                self._put(folder, name)
            for name in stale:
                self.files.rm_file(self._path(name))
        require_whole(self, folder, names)
        with _told(self):
            self._put(folder, manifest)
        require_whole(self, folder, [manifest])

    def differing(self, folder: Path, names: list[str]) -> list[str]:
        self.files.invalidate_cache()
        return [name for name in names if self._sha256(name) != sha256(folder / name)]

    def download(self, folder: Path) -> None:
        names = sorted(self.names())
        if not names:
            raise StageError(f"{self.url}: there is nothing")
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with _told(self):
                self.files.get_file(self._path(name), str(folder / name), callback=_bar(name))

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _put(self, folder: Path, name: str) -> None:
        self.files.put_file(str(folder / name), self._path(name), callback=_bar(name))

    def _sha256(self, name: str) -> str | None:
        """Of what is stored, read back; None when it is not there."""
        with _told(self):
            if not self.files.exists(self._path(name)):
                return None
            with self.files.open(self._path(name), "rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()


def open_folder(url: str) -> FilePlace:
    """Raises StageError when nothing here speaks the URL's protocol."""
    protocol, separator, _ = url.partition("://")
    options = {} if separator else {"auto_mkdir": True}
    try:
        files, root = url_to_fs(url, **options)
    except ImportError as error:
        command = _INSTALL.get(protocol)
        raise StageError(f"{url}: {f'run {command}' if command else error}") from error
    except ValueError as error:
        raise StageError(f"{url}: {error}") from error
    return FilePlace(url, files, root.rstrip("/"))


def _bar(name: str) -> TqdmCallback:
    return TqdmCallback(tqdm_kwargs={"desc": name, "unit": "B", "unit_scale": True, "leave": False})


@contextmanager
def _told(place: FilePlace) -> Iterator[None]:
    """What a store's client raises, as a message; botocore's errors are no OSErrors."""
    failures: tuple[type[Exception], ...] = (OSError, *_client_errors(place.files))
    try:
        yield
    except failures as error:
        raise StageError(
            f"{place.url}: {type(error).__name__}: {error}; check the address, the credentials and "
            "what they allow"
        ) from error


def _client_errors(files: AbstractFileSystem) -> tuple[type[Exception], ...]:
    if "s3" not in files.protocol:
        return ()
    from botocore.exceptions import BotoCoreError

    return (BotoCoreError,)
