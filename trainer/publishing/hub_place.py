"""A model repository of the Hugging Face hub."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

# The hub's own client lets this one's errors through.
from httpx2 import HTTPError
from huggingface_hub import (
    CommitOperation,
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    snapshot_download,
)
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash

from reward_model.release.release import sha256
from trainer.pipeline.stage import StageError
from trainer.publishing.places import require_whole

_REPOSITORY = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*?)(?:@([\w./-]+))?")


@dataclass(frozen=True)
class HubPlace:
    """See `Place`. A push is one commit: all of it is there at once, or nothing."""

    repository: str
    revision: str | None = None
    api: HfApi = field(default_factory=HfApi)

    @property
    def url(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")

    def names(self) -> set[str]:
        with _told(self):
            try:
                found = self.api.list_repo_files(self.repository, revision=self.revision)
            except RepositoryNotFoundError:
                return set()
        return set(found)

    def read(self, name: str) -> bytes:
        with _told(self), TemporaryDirectory() as folder:
            file = self.api.hf_hub_download(
                self.repository, name, revision=self.revision, local_dir=folder
            )
            return Path(file).read_bytes()

    def put(self, folder: Path, names: list[str], manifest: str, stale: set[str]) -> None:
        files = [*names, manifest]
        operations: list[CommitOperation] = [
            CommitOperationAdd(name, folder / name) for name in files
        ]
        operations += [CommitOperationDelete(name) for name in sorted(stale)]
        with _told(self):
            self.api.create_repo(self.repository, private=True, exist_ok=True)
            self.api.create_commit(
                self.repository,
                operations,
                commit_message="Push a release",
                revision=self.revision,
            )
        require_whole(self, folder, files)

    def differing(self, folder: Path, names: list[str]) -> list[str]:
        with _told(self):
            found = self.api.get_paths_info(self.repository, names, revision=self.revision)
        there = {info.path: info for info in found if isinstance(info, RepoFile)}
        return [n for n in names if n not in there or not _is(there[n], folder / n)]

    def download(self, folder: Path) -> None:
        with _told(self):
            snapshot_download(
                self.repository,
                revision=self.revision,
                local_dir=folder,
                endpoint=self.api.endpoint,
                ignore_patterns=[".gitattributes"],
            )
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's notes, in no release


def open_repository(name: str) -> HubPlace:
    """Raises StageError unless it is `owner/name`, or `owner/name@revision`."""
    match = _REPOSITORY.fullmatch(name)
    if match is None:
        raise StageError(f"hf://{name}: write hf://owner/name")
    return HubPlace(match[1], match[2])


def _is(there: RepoFile, file: Path) -> bool:
    """The hub addresses large files by their sha256, others as git does."""
    if there.lfs:
        return there.lfs.sha256 == sha256(file)
    return there.blob_id == git_hash(file.read_bytes())


@contextmanager
def _told(place: HubPlace) -> Iterator[None]:
    try:
        yield
    except (HTTPError, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        raise StageError(
            f"{place.url}: {type(error).__name__}: {first}; check the name, the network, and that "
            "`hf auth login` or HF_TOKEN gives a token that may write"
        ) from error
