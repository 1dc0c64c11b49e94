"""Python packages as sources: folders of them, the standard library, and what is installed."""

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

_PERMISSIVE = re.compile(
    r"\b(mit|isc|psf|0?bsd|apache|python software foundation|(the )?unlicense)(?![a-z])", re.I
)
_RESTRICTED = re.compile(
    r"gpl|mozilla|\bmpl|\beupl|\bcddl|\bsspl|\bbusl|business source|commons clause"
    r"|non-?commercial|proprietary",
    re.I,
)
"""Copyleft, and licenses that look open and are not."""

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
    """All files; the names of those that are no UTF-8 are lost, their number is counted."""
    for package in packages:
        for rank, file in enumerate(package.files):
            text = read_text(file, counts)
            if text is not None:
                path = "/".join(file.parts[-3:])
                yield SourceFile(text, path, package.name, package.license, "python", rank)


def packages(folders: Iterable[Path], *, standard_library: bool, installed: bool) -> list[Package]:
    """Permissively licensed packages of all sources, by name; the first source wins."""
    sources: list[Iterable[Package]] = [_folder_packages(folder) for folder in folders]
    if standard_library:
        sources.append(_standard_library())
    if installed:
        sources.append(_installed(sysconfig.get_path("purelib")))
    named = {package.name: package for source in reversed(sources) for package in source}
    return [named[name] for name in sorted(named)]


def _folder_packages(folder: Path) -> Iterator[Package]:
    """A folder with installed distributions, or else one package for each of its subfolders."""
    if not folder.is_dir():
        raise StageError(f"no corpus folder {folder}; the scripts in runs/ show how to fill it")
    if any(folder.glob("*.dist-info")):
        yield from _installed(str(folder))
        return
    for child in sorted(folder.iterdir()):
        yield Package(child.stem, UNKNOWN, _python_files([child], folder))


def _standard_library() -> Iterator[Package]:
    """Each top-level module is a package of its own, so that some can be held out."""
    root = Path(sysconfig.get_path("stdlib"))
    for child in sorted(root.iterdir()):
        if child.stem in sys.stdlib_module_names and child.name not in _SKIPPED_FOLDERS:
            yield Package(f"stdlib.{child.stem}", "PSF-2.0", _python_files([child], root))


def _installed(folder: str) -> Iterator[Package]:
    for distribution in metadata.distributions(path=[folder]):
        stated = _license(distribution)
        if stated:
            files = [Path(str(file.locate())) for file in distribution.files or ()]
            yield Package(distribution.name.lower(), stated, _python_files(files, Path(folder)))


def _license(distribution: metadata.Distribution) -> str | None:
    """The license as stated, when it is permissive and nothing beside it is not."""
    facts = distribution.metadata
    classifiers = [c for c in facts.get_all("Classifier") or () if c.startswith("License ::")]
    stated = _fact(facts, "License-Expression") or " ".join(
        c.split(" :: ")[-1] for c in classifiers
    )
    stated = stated or _fact(facts, "License").strip().split("\n")[0][:80]
    permissive = _PERMISSIVE.search(stated) and not _RESTRICTED.search(stated)
    return stated if permissive else None


def _fact(facts: metadata.PackageMetadata, name: str) -> str:
    return str(facts[name]) if name in set(facts) else ""


def _python_files(paths: Iterable[Path], root: Path) -> tuple[Path, ...]:
    """By name: installers list a distribution's files in orders of their own."""
    found: list[Path] = []
    for path in paths:
        found += path.rglob("*.py") if path.is_dir() else [path]
    return tuple(f for f in sorted(found) if f.suffix == ".py" and not _skipped(f, root))


def _skipped(file: Path, root: Path) -> bool:
    folders = set(file.relative_to(root).parts[:-1]) & _SKIPPED_FOLDERS
    return bool(folders) or file.name.startswith(("test_", "conftest"))
