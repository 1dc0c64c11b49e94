"""`python -m service.fetch URL DIR --sha256 HASH`: a release from elsewhere onto this disk, proven.

URL is the folder that holds its release.json: https://, s3://, hf://owner/name or any other that
fsspec opens. HASH is of that release.json, which names the hash of every other file. For an init
container; run again it returns at once.
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

_AT_ONCE = 4
"""Files; more do not load a network better."""


class FetchError(Exception):
    """It is not there, or not what it should be; the message says which file and what to do."""


def fetch(url: str, folder: Path, expected: str) -> None:
    """Put the release there, whole or not at all.

    Raises:
        FetchError: a file cannot be had, or has another hash than it should.
    """
    if _is_there(folder, expected):
        return
    draft = folder.with_name(folder.name + ".part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    url = url.rstrip("/")
    _download(f"{url}/{MANIFEST}", draft / MANIFEST)
    if (found := sha256(draft / MANIFEST)) != expected:
        raise FetchError(f"{url}/{MANIFEST}: its SHA-256 is {found}, not the one asked for")
    names = _names(draft / MANIFEST)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(lambda name: _download(f"{url}/{name}", draft / name), names))
    _prove(draft)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def _is_there(folder: Path, expected: str) -> bool:
    manifest = folder / MANIFEST
    return manifest.exists() and sha256(manifest) == expected


def _names(manifest: Path) -> list[str]:
    """Of its files."""
    try:
        return list(Manifest.model_validate_json(manifest.read_bytes()).files)
    except ValidationError as error:
        raise FetchError(f"{MANIFEST}: no release's, {error.error_count()} faults") from error


def _download(source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with fsspec.open(source, "rb") as remote, target.open("wb") as local:
            shutil.copyfileobj(remote, local, 2**20)
    except (OSError, ValueError, ImportError) as error:
        raise FetchError(f"{source}: cannot be read: {error}") from error


def _prove(folder: Path) -> None:
    try:
        open_release(folder)
    except ReleaseError as error:
        raise FetchError(f"what was fetched is not the release: {error}") from error


def main() -> None:
    options = _parser().parse_args()
    try:
        fetch(options.url, options.folder, options.sha256)
    except FetchError as error:
        sys.exit(f"cannot fetch {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service.fetch", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--sha256", required=True, help="of its release.json")
    return parser


if __name__ == "__main__":
    main()
