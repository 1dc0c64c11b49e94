"""A destination on whatever fsspec knows: a disk, an S3-compatible store, memory."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fsspec import AbstractFileSystem
from fsspec.callbacks import TqdmCallback
from fsspec.core import url_to_fs

from reward_model.release.release import sha256
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.stage import StageError
from trainer.publishing.destination import require_whole

# Commands that install the package of a protocol, for the error message.
INSTALL = {"s3": "scripts/install s3", "s3a": "scripts/install s3"}


@dataclass(frozen=True)
class StoreDestination:
    """See `Destination`. A store has no transactions, so the manifest is removed first and put
    last: in between, readers find no release rather than a mixture of two."""

    url: str
    files: AbstractFileSystem
    root: str

    def names(self) -> set[str]:
        with self._errors_translated():
            # fsspec caches listings; another process may have pushed since.
            self.files.invalidate_cache()
            found = self.files.find(self.root) if self.files.exists(self.root) else []
        return {path.removeprefix(self.root).lstrip("/") for path in found}

    def read(self, name: str) -> bytes:
        with self._errors_translated():
            content: bytes = self.files.cat_file(f"{self.root}/{name}")
        return content

    def put(self, folder: Path, names: list[str], manifest: str, stale: set[str]) -> None:
        def copy(name: str) -> None:
            self.files.put_file(
                str(folder / name), f"{self.root}/{name}", callback=progress_bar(name)
            )

        with self._errors_translated():
            if self.files.exists(f"{self.root}/{manifest}"):
                self.files.rm_file(f"{self.root}/{manifest}")
            for name in names:
                copy(name)
            for name in stale:
                self.files.rm_file(f"{self.root}/{name}")
        require_whole(self, folder, names)
        with self._errors_translated():
            copy(manifest)
        require_whole(self, folder, [manifest])

    def differing(self, folder: Path, names: list[str]) -> list[str]:
        # Checksums that stores offer are not SHA-256 everywhere, so files are read back.
        self.files.invalidate_cache()
        found = []
        for name in names:
            stored = None
            with self._errors_translated():
                if self.files.exists(f"{self.root}/{name}"):
                    with self.files.open(f"{self.root}/{name}", "rb") as stream:
                        stored = hashlib.file_digest(stream, "sha256").hexdigest()
            if stored != sha256(folder / name):
                found.append(name)
        return found

    def download(self, folder: Path) -> None:
        names = sorted(self.names())
        if not names:
            raise StageError(f"{self.url}: there is nothing at this address")
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._errors_translated():
                self.files.get_file(f"{self.root}/{name}", str(target), callback=progress_bar(name))

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        """Turn what the store's client raises into a StageError that says what to check."""
        failures: tuple[type[Exception], ...] = (OSError,)
        if "s3" in self.files.protocol:
            # These are no OSErrors, and botocore is only there if s3fs is installed.
            from botocore.exceptions import BotoCoreError

            failures = (OSError, BotoCoreError)
        try:
            yield
        except failures as error:
            raise StageError(
                f"{self.url}: {type(error).__name__}: {error}; check the address, the credentials "
                "and what they allow"
            ) from error


def open_store(url: str) -> StoreDestination:
    """Open a local path, or any URL that fsspec knows.

    Raises:
        StageError: no installed package speaks the URL's protocol.
    """
    protocol, separator, _ = url.partition("://")
    # On a disk, folders must exist before files; object stores have no folders.
    options = {} if separator else {"auto_mkdir": True}
    try:
        files, root = url_to_fs(url, **options)
    except ImportError as error:
        command = INSTALL.get(protocol)
        raise StageError(f"{url}: {f'run {command}' if command else error}") from error
    except ValueError as error:
        raise StageError(f"{url}: {error}") from error
    return StoreDestination(url, files, root.rstrip("/"))


def progress_bar(name: str) -> TqdmCallback:
    """A progress bar in bytes, which fsspec drives."""
    look = {"desc": name, "unit": "B", "unit_scale": True, "leave": False}
    return TqdmCallback(tqdm_kwargs=look, tqdm_cls=ProgressBar)
