"""Push a release to a destination, whole or not at all, and open one where it lies."""

from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from reward_model.release.lora import open_without_base
from reward_model.release.manifest import Manifest
from reward_model.release.release import MANIFEST, Release, read_manifest
from trainer.pipeline.stage import StageError
from trainer.publishing.destination import Destination

HUB = "hf://"

# The hub makes this file in every repository.
HARMLESS = frozenset({".gitattributes"})


def open_destination(url: str) -> Destination:
    """Open the hub for `hf://owner/name`, otherwise a local path or any URL that fsspec knows.

    Raises:
        StageError: there is no such kind of destination, or its client is not installed.
    """
    # Imported here, because the hub's client takes a second to load and few pushes need it.
    if url.startswith(HUB):
        from trainer.publishing.hub import open_repository

        return open_repository(url.removeprefix(HUB))
    from trainer.publishing.store import open_store

    return open_store(url)


def push(folder: Path, destination: Destination, *, force: bool = False) -> str:
    """Copy a release and check every file that arrived by its hash; return what was done.

    Args:
        force: replace another release; files of it that the new one does not have are deleted.

    Raises:
        ReleaseError: the folder is not a release that verifies.
        StageError: the destination holds something else, or a file did not arrive whole.
    """
    # A bare checkpoint opens, too, but says nothing that a reader could verify it by.
    open_without_base(folder)
    if not (folder / MANIFEST).is_file():
        raise StageError(f"{folder} holds no {MANIFEST}: only what `publish` made is pushed")
    new = read_manifest(folder)
    names, title = sorted(new.files), f"{new.name} {new.version}"
    found = destination.names()
    old = None
    if MANIFEST in found:
        try:
            old = Manifest.model_validate_json(destination.read(MANIFEST))
        except ValidationError as error:
            raise StageError(
                f"{destination.url} holds a {MANIFEST} that is not a release's: push to an empty "
                "destination"
            ) from error
    # The seal is a hash of the whole manifest, which names every file's hash. The files are
    # compared all the same, because an earlier push may have been cut short.
    if old and old.seal == new.seal and not destination.differing(folder, [*names, MANIFEST]):
        return f"{destination.url} already holds {title}: nothing was pushed"

    known = {*new.files, MANIFEST} | HARMLESS
    replaced = set(old.files) if old else set[str]()
    # Files that belong to no release are somebody's work: they are never touched.
    if strangers := sorted(found - known - replaced):
        raise StageError(
            f"{destination.url} holds {strangers[0]}, which belongs to no release: push to "
            "an empty destination"
        )
    if old and old.seal != new.seal and not force:
        raise StageError(
            f"{destination.url} holds {old.name} {old.version}: push elsewhere, or replace it with "
            "--force"
        )
    destination.put(folder, names, MANIFEST, stale=(replaced & found) - known)
    return (
        f"pushed {title} to {destination.url}: {len(names) + 1} files, each compared with what "
        "arrived"
    )


def verified(url: str) -> Release:
    """Open a release where it lies, or a temporary copy of a remote one.

    Raises:
        ReleaseError: it is not what its manifest says.
    """
    if "://" not in url:
        return open_without_base(Path(url))
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "release"
        copy.mkdir()
        open_destination(url).download(copy)
        return open_without_base(copy)
