"""CodeSource files -> snippets: permissively licensed, worth learning from, each once, and of no
evaluation set.

A package or repository is the unit of hold-out. Every file that is read ends in exactly one count
of `files`, and every piece that is cut from one in exactly one of `counts`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from trainer.corpus import packages, python, treesitter
from trainer.corpus.decontaminate import EvaluationNgrams, EvaluationSet, protect
from trainer.corpus.deduplicate import deduplicated, first_per_package
from trainer.corpus.external_sort import ExternalSort
from trainer.corpus.fragment import Fragment
from trainer.corpus.languages import LANGUAGES, language_of
from trainer.corpus.licenses import PERMISSIVE, UNKNOWN, LicenseAllowList
from trainer.corpus.quality import QualityConfig, unfit
from trainer.corpus.snippet import Snippet, write_snippets
from trainer.corpus.sources import AnySource
from trainer.corpus.sources.source import CodeSource, SourceFile
from trainer.pipeline.stage import StageError, writing_stage


@dataclass(frozen=True)
class CorpusConfig:
    """What to read and what to keep.

    Attributes:
        folders: folders of Python packages, relative to the work folder; where `pip install
            --target` filled one, each distribution is a package, otherwise each of its subfolders
            is. `languages`, `licenses` and `quality` are for `sources` alone.
        standard_library: whether the running interpreter's own is read as well.
        installed: whether the packages installed beside it are.
        max_per_package: functions kept of one package, so that no single style dominates.
        max_characters: longer functions, and files that are kept whole, are left out.
        near_duplicate: Jaccard similarity of word sets from which one of two is dropped.
        permutations: of MinHash; more of them miss fewer near duplicates and take longer.
        sources: repositories of files of any language, beside the packages.
        languages: only these; none for all that are known. One that is not is kept whole.
        licenses: SPDX identifiers that allow a file's use, and "unknown" for files without any.
        quality: which files of the sources are left out unread.
        evaluation_sets: what no snippet may share a run of words with.
        ngram_words: length of such a run.
        min_ngram_words: length of the shortest text of an evaluation set that is looked for;
            never more than `ngram_words`.
        rows_per_shard: snippets in one file.
    """

    folders: tuple[str, ...] = ()
    standard_library: bool = True
    installed: bool = True
    max_per_package: int = 1500
    max_characters: int = 900
    near_duplicate: float = 0.8
    permutations: int = 64
    sources: tuple[AnySource, ...] = ()
    languages: tuple[str, ...] = ()
    licenses: tuple[str, ...] = PERMISSIVE
    quality: QualityConfig = field(default_factory=QualityConfig)
    evaluation_sets: tuple[EvaluationSet, ...] = ()
    ngram_words: int = 13
    min_ngram_words: int = 8
    rows_per_shard: int = 100_000


@dataclass
class CorpusCounts:
    """Where everything went: files, the pieces they were cut into, and what was kept of those."""

    files: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    licenses: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    packages: Counter[str] = field(default_factory=Counter)

    def keep(self, snippet: Snippet) -> None:
        self.counts["kept"] += 1
        self.licenses[snippet.license] += 1
        self.languages[snippet.language] += 1
        self.packages[snippet.package] += 1

    def facts(self) -> dict[str, object]:
        """For the manifest."""
        named = {
            "files": self.files,
            "counts": self.counts,
            "licenses": self.licenses,
            "languages": self.languages,
        }
        sorted_counts = {name: dict(sorted(counts.items())) for name, counts in named.items()}
        return {**sorted_counts, "packages": len(self.packages)}


def run(config: CorpusConfig, inputs: Path, output: Path) -> None:
    """Read all sources, relative to `inputs`; write shards of snippets."""
    tally = CorpusCounts()
    protected = protect(config.evaluation_sets, config.ngram_words, config.min_ngram_words, inputs)
    with ExternalSort() as sorted_snippets, writing_stage(config, output) as draft:
        for file in tqdm(_files(config, inputs, tally.files), desc="files", unit=" files"):
            for place, snippet in enumerate(snippets(file, config, protected, tally)):
                sorted_snippets.add(snippet, file.rank, place)
        found = tqdm(sorted_snippets.sorted(), desc="near duplicates", total=len(sorted_snippets))
        write_snippets(draft.path, _kept(found, config, tally), config.rows_per_shard)
        draft.facts |= tally.facts() | {"evaluation_sets": protected.facts}
        if not tally.counts["kept"]:
            raise StageError(
                f"nothing was kept. Files: {_told(tally.files)}; functions: "
                f"{_told(tally.counts)}. docs/corpus.md says what each count means"
            )


def _files(config: CorpusConfig, work: Path, counts: Counter[str]) -> Iterator[SourceFile]:
    yield from packages.files(
        packages.packages(
            [work / folder for folder in config.folders],
            standard_library=config.standard_library,
            installed=config.installed,
        ),
        counts,
    )
    yield from _permitted(config.sources, FileFilter(config), work, counts)


class FileFilter:
    """Which files of the sources are cut at all."""

    def __init__(self, config: CorpusConfig) -> None:
        self._languages = {language_of(name, "") for name in config.languages} or set(LANGUAGES)
        self._licenses = LicenseAllowList(config.licenses)
        self._quality = config.quality

    def refuses(self, file: SourceFile) -> str | None:
        """The first reason."""
        language = language_of(file.language, file.path, file.text)
        stated = file.license or UNKNOWN
        if language not in self._languages:
            return f"language: {language or 'unknown'}"
        if not self._licenses.permits(stated):
            return f"license: {stated}"
        return unfit(file, self._quality)


def _permitted(
    sources: Iterable[CodeSource], gate: FileFilter, work: Path, counts: Counter[str]
) -> Iterator[SourceFile]:
    for source in sources:
        for file in source.files(work, counts):
            if reason := gate.refuses(file):
                counts[reason] += 1
            else:
                yield file


def snippets(
    file: SourceFile, config: CorpusConfig, protected: EvaluationNgrams, tally: CorpusCounts
) -> Iterator[Snippet]:
    """What is worth learning from; `tally` says why the rest was left out."""
    language = language_of(file.language, file.path, file.text)
    for piece in _cut(file, language, tally):
        snippet = _snippet(piece, file, language)
        if len(piece.source) > config.max_characters:
            tally.counts["too long"] += 1
        elif (hit := protected.hit(snippet)) is not None:
            tally.counts[f"in evaluation set: {hit}"] += 1
        else:
            yield snippet


def _cut(file: SourceFile, language: str, tally: CorpusCounts) -> Iterable[Fragment]:
    known = LANGUAGES.get(language)
    if language == "python":
        pieces = python.functions(file.text, tally.counts)
        tally.files["does not parse" if pieces is None else "cut into functions"] += 1
        return pieces or ()
    if known is not None and treesitter.parser_of(known) is not None:
        tally.files["cut into functions"] += 1
        return treesitter.functions(file.text, known, tally.counts)
    tally.files[f"kept whole: {language}"] += 1
    return [Fragment(PurePosixPath(file.path).stem, file.path, "", file.text.strip("\n"))]


def _snippet(piece: Fragment, file: SourceFile, language: str) -> Snippet:
    return Snippet(
        hashlib.sha256(piece.source.encode()).hexdigest()[:16],
        file.repository,
        file.license or UNKNOWN,
        file.path,
        piece.name,
        piece.signature,
        piece.docstring,
        piece.source,
        language,
        file.sha256,
    )


def _kept(found: Iterable[Snippet], config: CorpusConfig, tally: CorpusCounts) -> Iterator[Snippet]:
    few = first_per_package(found, config.max_per_package, tally.counts)
    for snippet in deduplicated(few, config.near_duplicate, config.permutations, tally.counts):
        tally.keep(snippet)
        yield snippet


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in counts.most_common(5)) or "none"
