"""`python -m service.fetch URL DIR --sha256 HASH` copies a release to this disk and verifies it.

URL is the folder that holds the release's release.json: https://, s3://, hf://owner/name or any
other that fsspec opens. HASH is the SHA-256 of that release.json, which names the hash of every
other file. It is made for an init container: run again, it returns at once.
"""

import argparse
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
from pydantic import ValidationError

from reward_model.release.lora import open_without_base
from reward_model.release.manifest import Manifest
from reward_model.release.release import (
    MANIFEST,
    ReleaseError,
    file_names,
    sha256,
)

# Files that are copied side by side; more do not load a network better.
_MAX_DOWNLOADS = 4


class FetchError(Exception):
    """A file is missing or is not what it should be; the message says which, and what to do."""


def fetch(url: str, folder: Path, expected: str) -> None:
    """Copy the release to `folder`, whole or not at all.

    A folder that holds the release already is verified and left alone. After a failure the next
    call goes on with the files that had come whole.

    Args:
        expected: SHA-256 of its manifest.

    Raises:
        FetchError: a file cannot be read or written, or does not have the hash that it should have.
    """
    url, folder, expected = url.rstrip("/"), folder.absolute(), expected.lower()
    if not re.fullmatch("[0-9a-f]{64}", expected):
        raise FetchError("anything: --sha256 takes the 64 hexadecimal digits of a SHA-256")
    if folder.exists() and not folder.is_dir():
        raise FetchError(f"to {folder}: that is a file; name a folder that is to be made")
    if holds_release(folder, expected):
        return
    if folder.exists() and not (folder / MANIFEST).exists() and any(folder.iterdir()):
        raise FetchError(f"to {folder}: it holds other files; name a folder that is to be made")
    # It is complete and verified before it gets its name, so a crash never leaves half a release.
    draft = folder.with_name(folder.name + ".part")
    try:
        draft.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(f"to {folder}: {error.strerror}") from error
    download(f"{url}/{MANIFEST}", draft / MANIFEST, expected)
    try:
        files = Manifest.model_validate_json((draft / MANIFEST).read_bytes()).files
    except ValidationError as error:
        (draft / MANIFEST).unlink()
        raise FetchError(
            f"{url}/{MANIFEST}: this is no release's manifest ({error.error_count()} faults)"
        ) from error
    # A draft may be left from another release, whose files this one does not list.
    for name in file_names(draft):
        if name not in files:
            (draft / name).unlink()

    def get(name: str) -> None:
        download(f"{url}/{name}", draft / name, files[name])

    with ThreadPoolExecutor(_MAX_DOWNLOADS) as threads:
        list(threads.map(get, files))
    try:
        open_without_base(draft, several_labels=True)
    except ReleaseError as error:
        shutil.rmtree(draft)
        raise FetchError(f"{url}: what was fetched is not the release: {error}") from error
    try:
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    except OSError as error:
        raise FetchError(
            f"to {folder}: {error.strerror}. If a volume is mounted there, name a folder inside it"
        ) from error


def holds_release(folder: Path, expected: str) -> bool:
    """Tell whether the folder holds the release whole, as the service will require it."""
    manifest = folder / MANIFEST
    try:
        if not manifest.is_file() or sha256(manifest) != expected:
            return False
        open_without_base(folder, several_labels=True)
    except ReleaseError as error:
        sys.stderr.write(f"{folder} is damaged and is fetched again: {error}\n")
        return False
    return True


def download(source: str, target: Path, expected: str) -> None:
    """Copy one file, unless it is there already; one with another hash is not kept.

    Raises:
        FetchError: it cannot be read or written, or its SHA-256 is not the expected one.
    """
    if target.is_file() and sha256(target) == expected:
        return
    # Read once, from its beginning: without blocks no server needs to know of ranges.
    options = {"block_size": 0} if source.startswith(("http://", "https://")) else {}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with fsspec.open(source, "rb", **options) as remote, target.open("wb") as local:
            shutil.copyfileobj(remote, local, 2**20)
    except Exception as error:
        # Each store's library has exceptions of its own, and some share no base with OSError.
        target.unlink(missing_ok=True)
        reason = str(error) or type(error).__name__
        raise FetchError(f"{source}: cannot be read or written: {reason}") from error
    if (found := sha256(target)) != expected:
        target.unlink()
        raise FetchError(f"{source}: its SHA-256 is {found}, not the one asked for, {expected}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m service.fetch", description=__doc__)
    parser.add_argument("url", help="folder that holds the release")
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to put the release")
    parser.add_argument("--sha256", required=True, help="SHA-256 of its release.json")
    options = parser.parse_args()
    try:
        fetch(options.url, options.folder, options.sha256)
    except FetchError as error:
        sys.exit(f"cannot fetch {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on with the files that came whole")


if __name__ == "__main__":
    main()
