"""Python packages as sources: folders of them, the standard library, and installed ones."""

import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from trainer.corpus.licenses import UNKNOWN
from trainer.corpus.sources.source import SourceFile, read_text
from trainer.pipeline.stage import StageError

# Package metadata states licenses in free text, so SPDX expressions are of no help here.
_PERMISSIVE = re.compile(
    r"\b(mit|isc|psf|0?bsd|apache|python software foundation|(the )?unlicense)(?![a-z])", re.I
)
# Copyleft licenses, and licenses that look open and are not.
_RESTRICTED = re.compile(
    r"gpl|mozilla|\bmpl|\beupl|\bcddl|\bsspl|\bbusl|business source|commons clause"
    r"|non-?commercial|proprietary",
    re.I,
)
_SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "testing", "_vendor", "vendor", "_vendored", "idlelib", "lib2to3", "examples"}
)


@dataclass(frozen=True)
class Package:
    """A unit of hold-out: all its files are training data, or all are evaluation data."""

    name: str
    license: str
    files: tuple[Path, ...]


def files(packages: Iterable[Package], counts: Counter[str]) -> Iterator[SourceFile]:
    """All files of the packages. Files that are no UTF-8 are counted and left out."""
    for package in packages:
        for rank, file in enumerate(package.files):
            text = read_text(file, counts)
            if text is not None:
                path = "/".join(file.parts[-3:])
                yield SourceFile(text, path, package.name, package.license, "python", rank)


def packages(folders: Iterable[Path], *, standard_library: bool, installed: bool) -> list[Package]:
    """Permissively licensed packages of all sources, sorted by name; the first source wins."""
    sources: list[Iterable[Package]] = []
    for folder in folders:
        if not folder.is_dir():
            raise StageError(
                f"there is no corpus folder {folder}: the scripts in runs/ show how to fill it"
            )
        if any(folder.glob("*.dist-info")):
            sources.append(installed_packages(folder))
        else:
            children = sorted(folder.iterdir())
            sources.append(
                [Package(one.stem, UNKNOWN, python_files([one], folder)) for one in children]
            )
    if standard_library:
        # Each top-level module is a package of its own, so that some can be held out.
        root = Path(sysconfig.get_path("stdlib"))
        sources.append(
            [
                Package(f"stdlib.{child.stem}", "PSF-2.0", python_files([child], root))
                for child in sorted(root.iterdir())
                if child.stem in sys.stdlib_module_names and child.name not in _SKIPPED_FOLDERS
            ]
        )
    if installed:
        sources.append(installed_packages(Path(sysconfig.get_path("purelib"))))
    named = {package.name: package for source in reversed(sources) for package in source}
    return [named[name] for name in sorted(named)]


def installed_packages(folder: Path) -> Iterator[Package]:
    """The distributions in a folder whose metadata state a permissive license."""
    for distribution in metadata.distributions(path=[str(folder)]):
        if stated := permissive_license(distribution.metadata):
            listed = [Path(str(file.locate())) for file in distribution.files or ()]
            yield Package(distribution.name.lower(), stated, python_files(listed, folder))


def permissive_license(facts: metadata.PackageMetadata) -> str | None:
    """The license as stated, if it is permissive and nothing restricted stands beside it."""
    # The expression is the newest field and the most exact; the old free text may be a whole
    # license, of which the first line is the title.
    given = set(facts)
    stated = str(facts["License-Expression"]) if "License-Expression" in given else ""
    if not stated:
        classifiers = facts.get_all("Classifier") or ()
        stated = " ".join(c.split(" :: ")[-1] for c in classifiers if c.startswith("License ::"))
    if not stated and "License" in given:
        stated = str(facts["License"]).strip().split("\n")[0][:80]
    permissive = _PERMISSIVE.search(stated) and not _RESTRICTED.search(stated)
    return stated if permissive else None


def python_files(paths: Iterable[Path], root: Path) -> tuple[Path, ...]:
    """Python files below the paths, without tests and other people's code, sorted by name.

    They are sorted because installers list a distribution's files in orders of their own.
    """
    found: list[Path] = []
    for path in paths:
        found += path.rglob("*.py") if path.is_dir() else [path]
    return tuple(
        file
        for file in sorted(found)
        if file.suffix == ".py"
        and not file.name.startswith(("test_", "conftest"))
        and not set(file.relative_to(root).parts[:-1]) & _SKIPPED_FOLDERS
    )
