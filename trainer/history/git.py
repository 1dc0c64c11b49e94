"""A local clone, read by git's plumbing commands: nothing that lies in the repository runs.

Plumbing neither calls hooks, filters, pagers and external diffs, nor verifies signatures by a
program that the repository's config names. Transports are switched off, because git would fetch
what a partial clone lacks, by a command that the repository's config names as well.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from trainer.pipeline.stage import StageError

_CHUNK = 1 << 16


class GitRepository:
    """A clone on this machine, bare or not.

    Raises:
        StageError: there is none at this place, or git refuses to read it.
    """

    def __init__(self, place: str, work: Path) -> None:
        folder = work / Path(place).expanduser()
        if not place:
            raise StageError("name the clone to read, as in --set commits.repository=/path/of/it")
        if not folder.is_dir():
            # An address of a server is no folder, and nothing is fetched here.
            raise StageError(
                f"there is no folder {folder}: `repository` is a local clone, and a relative path "
                f"starts at {work}; `git clone` brings one from elsewhere"
            )
        self.folder = folder.resolve()
        git = shutil.which("git")
        if git is None:
            raise StageError("git is not installed, and reads the history: install it")
        self._command = [git, "-C", str(self.folder), "--no-pager", "--no-replace-objects"]
        # Comparing commits opens the index, and with it the monitor of files that a config names.
        self._command += ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
        self.output("rev-parse", "--git-dir")

    @property
    def name(self) -> str:
        """The folder's name; a bare clone's without its suffix."""
        return self.folder.name.removesuffix(".git") or self.folder.parent.name

    def output(self, *arguments: str) -> str:
        """The output of a command; raises StageError if it fails."""
        done = subprocess.run(
            [*self._command, *arguments], capture_output=True, env=self._environment(), check=False
        )
        if done.returncode:
            raise self._refusal(done.stderr.decode(errors="replace"))
        return done.stdout.decode(errors="replace").strip()

    @contextmanager
    def reading(
        self, *arguments: str, stdin: IO[bytes] | int = subprocess.DEVNULL
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """A command that runs while the block reads from it, and that ends with the block."""
        process = subprocess.Popen(
            [*self._command, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            # Git says little; what it says of a broken clone stands on the terminal.
            stderr=None,
            env=self._environment(),
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def _environment(self) -> dict[str, str]:
        # A variable such as GIT_DIR, which git sets for hooks, would name another repository.
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
        }
        return kept | {
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_CEILING_DIRECTORIES": str(self.folder.parent),
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }

    def _refusal(self, said: str) -> StageError:
        if "dubious ownership" in said:
            return StageError(
                f"git does not read {self.folder}, because another user owns it: if you trust it, "
                f"run `git config --global --add safe.directory {self.folder}` and try again"
            )
        if "not a git repository" in said:
            return StageError(
                f"{self.folder} is not a git repository: name the top folder of a clone"
            )
        lines = said.strip().splitlines() or ["it ended without a word"]
        return StageError(f"git cannot read {self.folder}: {lines[-1]}")


class BlobReader:
    """Contents of files by their object ids, from one process that answers one after another."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._ask, self._answer = process.stdin, process.stdout

    def text(self, oid: str, max_bytes: int) -> str | None:
        """A file as text; None for what is larger, is no UTF-8, or is no file.

        Raises:
            StageError: the clone lacks it.
        """
        self._ask.write(oid.encode() + b"\n")
        self._ask.flush()
        header = self._answer.readline().split()
        if len(header) != 3:
            raise StageError(
                f"the clone lacks the object {oid}: it is a partial clone or broken; clone the "
                "repository anew, without --filter"
            )
        size = int(header[2])
        if size > max_bytes:
            left = size + 1
            while left:
                left -= len(self._answer.read(min(left, _CHUNK)))
            return None
        content = self._answer.read(size + 1)[:-1]
        try:
            # A byte order mark is no part of the text, and no parser here takes it.
            return content.decode("utf-8-sig") if header[1] == b"blob" else None
        except UnicodeDecodeError:
            return None
