"""Folders of Python files -> Snippets: functions with their docstrings, provenance kept."""

import ast
import hashlib
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from datasketch import MinHash, MinHashLSH
from tqdm import tqdm

from trainer.corpus.snippet import SNIPPETS, Snippet
from trainer.stage import StageError, write_rows, writing_stage

_PERMISSIVE = re.compile(
    r"\b(mit|isc|psf|0?bsd|apache|python software foundation|(the )?unlicense)(?![a-z])", re.I
)
_RESTRICTED = re.compile(
    r"gpl|mozilla|\bmpl|\beupl|\bcddl|\bsspl|\bbusl|business source|commons clause"
    r"|non-?commercial|proprietary",
    re.I,
)
"""Copyleft, and licences that look open and are not."""

_SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "testing", "_vendor", "vendor", "_vendored", "idlelib", "lib2to3", "examples"}
)


@dataclass(frozen=True)
class CorpusConfig:
    """What to read and what to keep.

    Attributes:
        folders: folders of Python files, relative to the work folder; where `pip install --target`
            filled one, each distribution is a package, otherwise each of its subfolders is.
        standard_library: whether the running interpreter's own is read as well.
        installed: whether the packages installed beside it are.
        most_per_package: functions kept of one package, so that no single style dominates.
        most_characters: longer functions are left out.
        near_duplicate: Jaccard similarity of word sets from which one of two is dropped.
    """

    folders: tuple[str, ...] = ()
    standard_library: bool = True
    installed: bool = True
    most_per_package: int = 1500
    most_characters: int = 900
    near_duplicate: float = 0.8


@dataclass(frozen=True)
class Package:
    """A unit of hold-out: all its files are training data, or all are evaluation data."""

    name: str
    licence: str
    files: tuple[Path, ...]


def run(config: CorpusConfig, inputs: Path, output: Path) -> None:
    """Read `config.folders` below `inputs`; write `snippets.jsonl`."""
    counts: Counter[str] = Counter()
    found = [
        snippet
        for package in tqdm(packages(config, inputs), desc="packages")
        for snippet in _sample(snippets(package, config, counts), config.most_per_package)
    ]
    kept = list(_distinct(found, config.near_duplicate, counts))
    counts["kept"] = len(kept)
    with writing_stage(config, output) as draft:
        write_rows(draft.path / SNIPPETS, kept)
        draft.facts["counts"] = dict(sorted(counts.items()))
        draft.facts["licences"] = dict(sorted(Counter(s.licence for s in kept).items()))
        draft.facts["packages"] = len({s.package for s in kept})


def packages(config: CorpusConfig, work: Path) -> list[Package]:
    """Permissively licensed packages of all sources, by name; the first source wins."""
    sources: list[Iterable[Package]] = [_folder_packages(work / f) for f in config.folders]
    if config.standard_library:
        sources.append(_standard_library())
    if config.installed:
        sources.append(_installed(sysconfig.get_path("purelib")))
    named = {package.name: package for source in reversed(sources) for package in source}
    return [named[name] for name in sorted(named)]


def snippets(package: Package, config: CorpusConfig, counts: Counter[str]) -> Iterator[Snippet]:
    """Functions worth learning from; `counts` says why others were left out."""
    for file in package.files:
        for function in _functions(file, counts):
            reason, snippet = _snippet(function, file, package, config)
            counts[reason] += 1
            if snippet:
                yield snippet


def _folder_packages(folder: Path) -> Iterator[Package]:
    """A folder with installed distributions, or else one package for each of its subfolders."""
    if not folder.is_dir():
        raise StageError(f"no corpus folder {folder}; the scripts in runs/ show how to fill it")
    if any(folder.glob("*.dist-info")):
        yield from _installed(str(folder))
        return
    for child in sorted(folder.iterdir()):
        yield Package(child.stem, "unknown", _python_files([child], folder))


def _standard_library() -> Iterator[Package]:
    """Each top-level module is a package of its own, so that some can be held out."""
    root = Path(sysconfig.get_path("stdlib"))
    for child in sorted(root.iterdir()):
        if child.stem in sys.stdlib_module_names and child.name not in _SKIPPED_FOLDERS:
            yield Package(f"stdlib.{child.stem}", "PSF-2.0", _python_files([child], root))


def _installed(folder: str) -> Iterator[Package]:
    for distribution in metadata.distributions(path=[folder]):
        licence = _licence(distribution)
        if licence:
            files = [Path(str(file.locate())) for file in distribution.files or ()]
            yield Package(distribution.name.lower(), licence, _python_files(files, Path(folder)))


def _licence(distribution: metadata.Distribution) -> str | None:
    """The licence as stated, when it is permissive and nothing beside it is not."""
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


def _functions(file: Path, counts: Counter[str]) -> list[ast.FunctionDef]:
    """Functions of a module and methods of its classes; nested functions stay where they are."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, RecursionError, OSError):
        counts["file unreadable"] += 1
        return []
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    return [node for body in bodies for node in body if isinstance(node, ast.FunctionDef)]


def _snippet(
    function: ast.FunctionDef, file: Path, package: Package, config: CorpusConfig
) -> tuple[str, Snippet | None]:
    docstring = ast.get_docstring(function) or ""
    if docstring:
        function.body = function.body[1:]
    function.decorator_list = []
    if reason := _worthless(function):
        return reason, None
    source = ast.unparse(function)
    if len(source) > config.most_characters:
        return "too long", None
    head = f"{function.name}({ast.unparse(function.args)})"
    identity = hashlib.sha256(source.encode()).hexdigest()[:16]
    path = "/".join(file.parts[-3:])
    return "function", Snippet(
        identity, package.name, package.licence, path, function.name, head, docstring, source
    )


def _worthless(function: ast.FunctionDef) -> str | None:
    """Stubs, boiler-plate and one-liners teach nothing about right and wrong."""
    if function.name.startswith("__"):
        return "dunder"
    if function.name.startswith("test"):
        return "test"
    nodes = sum(1 for statement in function.body for _ in ast.walk(statement))
    return "too small" if nodes < 15 else None


def _sample(found: Iterable[Snippet], most: int) -> list[Snippet]:
    """The same ones every time: identities are hashes, so their order is arbitrary but fixed."""
    return sorted(found, key=lambda snippet: snippet.id)[:most]


def _distinct(found: list[Snippet], threshold: float, counts: Counter[str]) -> Iterator[Snippet]:
    """Drop exact and near duplicates over all packages, so that none spans the hold-out."""
    index = MinHashLSH(threshold=threshold, num_perm=64)
    for snippet in tqdm(found, desc="near duplicates"):
        if snippet.id in index:
            counts["duplicate"] += 1
            continue
        sketch = MinHash(num_perm=64)
        sketch.update_batch([word.encode() for word in set(snippet.source.split())])
        if index.query(sketch):
            counts["near duplicate"] += 1
            continue
        index.insert(snippet.id, sketch)
        yield snippet
