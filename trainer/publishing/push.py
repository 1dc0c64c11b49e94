"""A release is copied whole or not at all: its manifest arrives last, and never over another's."""

from pathlib import Path

from pydantic import ValidationError

from reward_model.release.manifest import Manifest
from reward_model.release.release import MANIFEST, open_release, read_manifest
from trainer.pipeline.stage import StageError
from trainer.publishing.places import Destination

_HARMLESS = frozenset({".gitattributes"})
"""The hub makes one in every repository."""


def push(folder: Path, place: Destination, *, force: bool = False) -> str:
    """Copy a release and check every file that arrived by its hash; says what was done.

    Args:
        force: replace another release, whose files that this one has not are deleted.

    Raises:
        ReleaseError: the folder is no release that verifies.
        StageError: there is something else at the place, or a file did not arrive whole.
    """
    open_release(folder)
    if not (folder / MANIFEST).is_file():
        raise StageError(f"{folder} holds no {MANIFEST}: only what `publish` made is pushed")
    manifest = read_manifest(folder)
    names, what = sorted(manifest.files), f"{manifest.name} {manifest.version}"
    found = place.names()
    before = _manifest_at(place, found)
    if before and before.seal == manifest.seal and not place.differing(folder, [*names, MANIFEST]):
        return f"{place.url} already holds {what}: nothing was pushed"
    stale = _replaced(place, found, before, manifest, force=force)
    place.put(folder, names, MANIFEST, stale)
    return f"pushed {what} to {place.url}: {len(names) + 1} files, each compared with what arrived"


def _replaced(
    place: Destination, found: set[str], before: Manifest | None, new: Manifest, *, force: bool
) -> set[str]:
    """Files of the release that is there which the new one has not."""
    known = set(new.files) | {MANIFEST} | _HARMLESS
    old = set(before.files) if before else set[str]()
    if strangers := sorted(found - known - old):
        raise StageError(
            f"{place.url} holds {strangers[0]}, which is of no release: push to an empty place"
        )
    if before and before.seal != new.seal and not force:
        raise StageError(
            f"{place.url} holds {before.name} {before.version}: push elsewhere, or replace it with "
            "--force"
        )
    return (old & found) - known


def _manifest_at(place: Destination, found: set[str]) -> Manifest | None:
    if MANIFEST not in found:
        return None
    try:
        return Manifest.model_validate_json(place.read(MANIFEST))
    except ValidationError as error:
        raise StageError(
            f"{place.url} holds a {MANIFEST} that is of no release: push to an empty place"
        ) from error
