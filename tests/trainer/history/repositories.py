"""Small git repositories, made commit by commit."""

import os
import shutil
import subprocess
from pathlib import Path

MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this."
AUTHOR = ("Ada Lovelace", "ada@example.org")


def git(folder: Path, *arguments: str, author: tuple[str, str] = AUTHOR) -> str:
    """Run git in a folder, without anybody's own config."""
    people = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in zip(("NAME", "EMAIL"), author, strict=True)
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        [shutil.which("git") or "git", *arguments],
        cwd=folder,
        env={**kept, **people, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


class Repository:
    """A clone with a license, to which commits are added."""

    def __init__(self, folder: Path, license_text: str = MIT) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        git(folder, "init", "-q", "-b", "main")
        self.commit("Initial commit", {"LICENSE": license_text})

    def commit(
        self,
        message: str,
        files: dict[str, str],
        author: tuple[str, str] = AUTHOR,
    ) -> str:
        """Write files and commit; returns the commit's id."""
        for name, text in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "--allow-empty", "-m", message, author=author)
        return git(self.folder, "rev-parse", "HEAD")


def function(name: str, step: int = 1, *, body: str = "") -> str:
    """A function of a few lines, of which `step` is what a fix changes."""
    return (
        f"def {name}(values, limit):\n"
        f'    """Add the values up to a limit."""\n'
        f"    total = 0\n"
        f"    for value in values:\n"
        f"        if value > limit:\n"
        f"            continue\n"
        f"        total += value * {step}\n"
        f"{body}"
        f"    return total + {step}\n"
    )


def make_history(folder: Path, files: int = 10, fixes: int = 2) -> Repository:
    """A repository of several files, whose functions were each fixed a few times."""
    repository = Repository(folder)
    names = [f"module_{number}" for number in range(files)]
    first = {f"src/{name}.py": function(f"sum_{name}") for name in names}
    repository.commit("Add the first modules", first)
    for step in range(2, 2 + fixes):
        for name in names:
            changed = {f"src/{name}.py": function(f"sum_{name}", step)}
            repository.commit(f"Fix the step of {name}, which was below {step}", changed)
    return repository
