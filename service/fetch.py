"""`python -m service.fetch URL DIR --sha256 HASH` copies a release to this disk and verifies it.

URL is the folder that holds the release's release.json: https://, s3://, hf://owner/name or any
other that fsspec opens. HASH is the SHA-256 of that release.json, which names the hash of every
other file. It is made for an init container: run again, it returns at once.
"""

import argparse
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
from pydantic import ValidationError

from reward_model.release.manifest import Manifest
from reward_model.release.release import MANIFEST, ReleaseError, open_release, sha256

# Files that are copied side by side; more do not load a network better.
_MAX_DOWNLOADS = 4


class FetchError(Exception):
    """A file is missing or is not what it should be; the message says which, and what to do."""


def fetch(url: str, folder: Path, expected: str) -> None:
    """Copy the release to `folder`, whole or not at all.

    Args:
        expected: SHA-256 of its manifest.

    Raises:
        FetchError: a file cannot be read, or does not have the hash that it should have.
    """
    manifest = folder / MANIFEST
    if manifest.exists() and sha256(manifest) == expected:
        return
    # It is complete and verified before it gets its name, so a crash never leaves half a release.
    draft = folder.with_name(folder.name + ".part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    url = url.rstrip("/")
    download(f"{url}/{MANIFEST}", draft / MANIFEST)
    if (found := sha256(draft / MANIFEST)) != expected:
        raise FetchError(f"{url}/{MANIFEST}: its SHA-256 is {found}, not the one asked for")
    try:
        names = list(Manifest.model_validate_json((draft / MANIFEST).read_bytes()).files)
    except ValidationError as error:
        raise FetchError(
            f"{url}/{MANIFEST}: this is no release's manifest ({error.error_count()} faults)"
        ) from error
    with ThreadPoolExecutor(_MAX_DOWNLOADS) as threads:
        list(threads.map(lambda name: download(f"{url}/{name}", draft / name), names))
    try:
        open_release(draft)
    except ReleaseError as error:
        raise FetchError(f"what was fetched is not the release: {error}") from error
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def download(source: str, target: Path) -> None:
    """Copy one file.

    Raises:
        FetchError: it cannot be read or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with fsspec.open(source, "rb") as remote, target.open("wb") as local:
            shutil.copyfileobj(remote, local, 2**20)
    except (OSError, ValueError, ImportError) as error:
        raise FetchError(f"{source}: cannot be read: {error}") from error


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


if __name__ == "__main__":
    main()
