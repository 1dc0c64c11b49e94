"""A destination that is a model repository of the Hugging Face hub."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

# huggingface_hub sends with httpx2 and lets its errors through.
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
from trainer.publishing.destination import require_whole

REPOSITORY = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*?)(?:@([\w./-]+))?")


@dataclass(frozen=True)
class HubDestination:
    """See `Destination`. A push is one commit: all of it is there at once, or nothing."""

    repository: str
    revision: str | None = None
    api: HfApi = field(default_factory=HfApi)

    @property
    def url(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")

    def names(self) -> set[str]:
        with self._errors_translated():
            try:
                return set(self.api.list_repo_files(self.repository, revision=self.revision))
            except RepositoryNotFoundError:
                return set()

    def read(self, name: str) -> bytes:
        with self._errors_translated(), TemporaryDirectory() as folder:
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
        with self._errors_translated():
            # A new repository is private: publishing it to everybody is the owner's decision.
            self.api.create_repo(self.repository, private=True, exist_ok=True)
            self.api.create_commit(
                self.repository,
                operations,
                commit_message="Push a release",
                revision=self.revision,
            )
        require_whole(self, folder, files)

    def differing(self, folder: Path, names: list[str]) -> list[str]:
        with self._errors_translated():
            infos = self.api.get_paths_info(self.repository, names, revision=self.revision)
        stored = {info.path: info for info in infos if isinstance(info, RepoFile)}
        found = []
        for name in names:
            info = stored.get(name)
            # The hub addresses large files (LFS) by their sha256, and others as git does.
            if info is None:
                same = False
            elif info.lfs:
                same = info.lfs.sha256 == sha256(folder / name)
            else:
                same = info.blob_id == git_hash((folder / name).read_bytes())
            if not same:
                found.append(name)
        return found

    def download(self, folder: Path) -> None:
        with self._errors_translated():
            snapshot_download(
                self.repository,
                revision=self.revision,
                local_dir=folder,
                endpoint=self.api.endpoint,
                ignore_patterns=[".gitattributes"],
            )
        # The client leaves its own notes there, which belong to no release.
        shutil.rmtree(folder / ".cache", ignore_errors=True)

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        """Turn what the hub's client raises into a StageError that says what to check."""
        try:
            yield
        except (HTTPError, OSError) as error:
            first = str(error).strip().partition("\n")[0]
            raise StageError(
                f"{self.url}: {type(error).__name__}: {first}; check the name, the network, and "
                "that `hf auth login` or HF_TOKEN gives a token that may write"
            ) from error


def open_repository(name: str) -> HubDestination:
    """Open `owner/name`, or `owner/name@revision`; raises StageError for any other name."""
    match = REPOSITORY.fullmatch(name)
    if match is None:
        raise StageError(f"hf://{name}: write hf://owner/name")
    return HubDestination(match[1], match[2])
