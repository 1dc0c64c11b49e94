from collections import Counter
from pathlib import Path

import pytest

from trainer.corpus.sources.folder import FolderSource
from trainer.pipeline.stage import StageError


def fill(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x = 1\n")


@pytest.mark.parametrize(
    ("depth", "repository", "path"),
    [(0, "src", "owner/name/a/f.go"), (1, "owner", "name/a/f.go"), (2, "owner/name", "a/f.go")],
)
def test_the_first_folders_name_the_repository(
    tmp_path: Path, depth: int, repository: str, path: str
) -> None:
    fill(tmp_path / "src", "owner/name/a/f.go")
    (file,) = FolderSource("src", depth, "MIT").files(tmp_path, Counter())
    assert (file.repository, file.path, file.license) == (repository, path, "MIT")


def test_files_come_by_name_and_all_others_are_counted(tmp_path: Path) -> None:
    fill(tmp_path / "src", "b/f.rs", "a/g.py", "a/f.c", "stray.py", "a/data.bin", "a/.git/f.py")
    (tmp_path / "src" / "a" / "latin.c").write_bytes(b"\xff")
    (tmp_path / "src" / "a" / "link.c").symlink_to("f.c")
    counts: Counter[str] = Counter()
    found = [f"{f.repository}/{f.path}" for f in FolderSource("src").files(tmp_path, counts)]
    assert found == ["a/f.c", "a/g.py", "b/f.rs"]
    reasons = ("no repository", "language unknown", "no text", "symbolic link")
    assert counts == dict.fromkeys(reasons, 1)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="gone"):
        list(FolderSource("gone").files(tmp_path, Counter()))
