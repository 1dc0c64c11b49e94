"""The commits of a history with the files that each changed, newest first, as a stream."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from trainer.history.git import GitRepository
from trainer.pipeline.stage import StageError

# Fields of a commit that git prints before the files: hash, parents, people, message.
_FORMAT = "format:%H%x00%P%x00%an%x00%ae%x00%cn%x00%B%x00"
_FIELDS = 6
# Renames with changes are found by comparing every new file with every old one, up to this many.
_RENAME_LIMIT = 400
_CHUNK = 1 << 16
_FILE_MODES = ("100644", "100755")  # no symbolic link and no submodule


@dataclass(frozen=True)
class FileChange:
    """A file before and after a commit.

    Attributes:
        status: git's letter: A for added, D for deleted, M for modified, R for renamed.
        before, after: its paths, which differ if it was renamed.
        before_id, after_id: object ids of its contents.
        is_file: whether it is a plain file on both sides.
    """

    status: str
    before: str
    after: str
    before_id: str
    after_id: str
    is_file: bool


@dataclass(frozen=True)
class Commit:
    """A commit. Its people are known while it is looked at, and never stored.

    Attributes:
        people: names and address of author and committer.
        changes: none for merges, which git compares with nothing here.
    """

    id: str
    is_merge: bool
    people: tuple[str, ...]
    message: str
    changes: tuple[FileChange, ...]


def commits(repository: GitRepository, head: str, limit: int | None) -> Iterator[Commit]:
    """All commits that are reachable from `head`, children before parents, one at a time."""
    count = [] if limit is None else [f"--max-count={limit}"]
    listing = repository.reading("rev-list", "--topo-order", *count, head)
    with listing as ids:
        assert ids.stdout is not None
        compared = repository.reading(
            *("diff-tree", "--stdin", "--always", "--root", "-r", "-z", "--raw", "--no-abbrev"),
            *("-M", f"-l{_RENAME_LIMIT}", "--encoding=UTF-8", f"--format={_FORMAT}"),
            stdin=ids.stdout,
        )
        with compared as differences:
            assert differences.stdout is not None
            yield from _parsed(_tokens(differences.stdout))
            # Whatever stopped it has cut the history short.
            if differences.wait() or ids.wait():
                raise StageError(
                    f"git cannot read the whole history of {repository.folder}: see its message "
                    "above; a partial clone lacks files, so clone it anew, without --filter"
                )


def count(repository: GitRepository, head: str, limit: int | None) -> int:
    """The number of commits that `commits` yields."""
    found = int(repository.output("rev-list", "--count", head))
    return found if limit is None else min(limit, found)


def _tokens(stream: IO[bytes]) -> Iterator[str]:
    """The texts between NUL bytes; git ends lines between commits and files with a line end."""
    rest = b""
    while chunk := stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from (each.decode(errors="replace") for each in whole)
    # What no NUL byte ends was cut off, when git was; its exit code says that.


def _parsed(tokens: Iterator[str]) -> Iterator[Commit]:
    waiting = next(tokens, None)
    while waiting is not None:
        if not waiting.strip():  # what parts two commits
            waiting = next(tokens, None)
            continue
        fields = [waiting.strip(), *(next(tokens, "") for _ in range(_FIELDS - 1))]
        changes: list[FileChange] = []
        while (waiting := next(tokens, None)) is not None and waiting.strip().startswith(":"):
            before_mode, after_mode, before_id, after_id, status = waiting.strip(" \n:").split()
            before = next(tokens, "")
            after = next(tokens, "") if status[0] in "RC" else before
            is_file = before_mode in _FILE_MODES and after_mode in _FILE_MODES
            changes.append(FileChange(status[0], before, after, before_id, after_id, is_file))
        identity, parents, *people, message = fields
        yield Commit(identity, " " in parents, tuple(people), message, tuple(changes))
