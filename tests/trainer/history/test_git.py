"""A clone is read and nothing of it runs; what cannot be read is told with what to do."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.trainer.history.repositories import Repository, function, git, make_history
from trainer.history.commit import commits
from trainer.history.git import BlobReader, GitRepository
from trainer.history.make import CommitsConfig, run
from trainer.pipeline.stage import StageError


def test_what_is_no_clone_is_told_with_what_to_do(tmp_path: Path) -> None:
    inner = Repository(tmp_path / "clone").folder / "inner"
    inner.mkdir()
    for place, message in (
        ("", "name the clone to read"),
        ("https://example.org/a.git", "is a local clone.*`git clone`"),
        ("missing", f"a relative path starts at {tmp_path}"),
        (str(tmp_path), "is not a git repository: name the top folder of a clone"),
        (str(inner), "is not a git repository: name the top folder of a clone"),
    ):
        with pytest.raises(StageError, match=message):
            GitRepository(place, tmp_path)


def test_a_bare_clone_is_read_as_well(tmp_path: Path) -> None:
    repository = make_history(tmp_path / "work", files=3, fixes=1)
    git(tmp_path, "clone", "-q", "--bare", str(repository.folder), "bare.git")
    bare = GitRepository("bare.git", tmp_path)
    assert bare.name == "bare"
    assert len(list(commits(bare, "main", None))) == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_a_clone_of_another_user_is_told_with_the_command_that_trusts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Repository(tmp_path / "theirs").folder
    for place in (folder, folder / ".git"):
        os.chown(place, 12345, 12345)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    with pytest.raises(StageError, match=f"config --global --add safe.directory {folder}"):
        GitRepository(str(folder), tmp_path)


def test_no_hook_and_no_program_of_a_repositorys_config_runs(tmp_path: Path) -> None:
    repository = make_history(tmp_path / "hostile", files=3)
    mark = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $0 >> {mark}\ncat\n")
    program.chmod(0o755)
    (repository.folder / ".gitattributes").write_text("*.py diff=evil filter=evil\n")
    for name in (
        *("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "diff.external"),
        *("diff.evil.textconv", "diff.evil.command", "filter.evil.smudge", "filter.evil.clean"),
        *("gpg.program", "credential.helper", "core.alternateRefsCommand", "pager.log"),
        *("remote.origin.uploadpack", "filter.evil.process", "core.askPass"),
    ):
        git(repository.folder, "config", name, str(program))
    git(repository.folder, "config", "log.showSignature", "true")
    git(repository.folder, "config", "alias.rev-list", f"!{program}")
    for hook in ("post-checkout", "pre-auto-gc", "reference-transaction", "post-index-change"):
        file = repository.folder / ".git/hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text(program.read_text())
        file.chmod(0o755)
    run(CommitsConfig(repository=str(repository.folder), min_rows=5), tmp_path, tmp_path / "out")
    assert not mark.exists()


def test_what_a_partial_clone_lacks_is_not_fetched(tmp_path: Path) -> None:
    """Git would fetch it by a command that the clone's config names."""
    repository = make_history(tmp_path / "whole", files=3)
    git(repository.folder, "config", "uploadpack.allowFilter", "true")
    git(repository.folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    url = f"file://{repository.folder}"
    git(tmp_path, "clone", "-q", "--bare", "--filter=blob:none", url, "partial")
    mark = tmp_path / "ran"
    git(tmp_path / "partial", "config", "remote.origin.uploadpack", f"touch {mark}; false")
    with pytest.raises(StageError, match="the clone lacks"):
        run(CommitsConfig(repository="partial", license="MIT"), tmp_path, tmp_path / "out")
    assert not mark.exists()


def test_messages_and_paths_may_hold_anything_but_nul(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "odd")
    odd = {"a b\n:c.py": function("odd"), "naïve.py": function("naive")}
    repository.commit(":100644 looks like a file\n\nand 'quotes'\n\n:A", odd)
    git(repository.folder, "checkout", "-q", "-b", "side")
    repository.commit("A commit without files", {})
    git(repository.folder, "checkout", "-q", "main")
    repository.commit("Another one on main", {"x.py": "pass\n"})
    git(repository.folder, "merge", "-q", "--no-ff", "-m", "Merge the side", "side")
    found = list(commits(GitRepository("odd", tmp_path), "HEAD", None))
    assert [commit.message.splitlines()[0] for commit in found if commit.is_merge] == [
        "Merge the side"
    ]
    assert len(found) == 5
    by_message = {commit.message.splitlines()[0]: commit for commit in found}
    changes = by_message[":100644 looks like a file"].changes
    assert sorted(change.after for change in changes) == sorted(odd)
    assert by_message["A commit without files"].changes == ()


def test_contents_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "blobs")
    (repository.folder / "binary").write_bytes(b"\xff\xfe\n\n")
    repository.commit("Add two files", {"large": "x" * 100_000, "small": "small\n"})
    clone = GitRepository("blobs", tmp_path)
    with clone.reading("cat-file", "--batch", stdin=subprocess.PIPE) as process:
        blobs = BlobReader(process)
        names = ("binary", "large", "small")
        ids = [git(repository.folder, "rev-parse", f"HEAD:{name}") for name in names]
        assert [blobs.text(oid, 50_000) for oid in ids] == [None, None, "small\n"]
