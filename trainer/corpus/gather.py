"""Source files -> snippets: permissively licensed, of good quality, deduplicated, decontaminated.

A package or repository is the unit of hold-out. Every file that is read ends in exactly one count
of `files`, and every function that is cut from one in exactly one of `counts`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from trainer.corpus import packages, python, treesitter
from trainer.corpus.decontaminate import EvaluationNgrams, EvaluationSet, index_evaluation_sets
from trainer.corpus.deduplicate import deduplicated, first_per_package
from trainer.corpus.external_sort import ExternalSort
from trainer.corpus.fragment import Fragment
from trainer.corpus.languages import LANGUAGES, language_of
from trainer.corpus.licenses import PERMISSIVE, UNKNOWN, LicenseAllowList
from trainer.corpus.quality import QualityConfig, reason_to_skip
from trainer.corpus.snippet import Snippet, write_snippets
from trainer.corpus.sources import AnySource
from trainer.corpus.sources.source import SourceFile
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.stage import StageError, writing_stage


@dataclass(frozen=True)
class CorpusConfig:
    """The sources to read and the filters that decide what is kept.

    Attributes:
        folders: folders of Python packages, relative to the work folder. In a folder that `pip
            install --target` filled, each distribution is a package; otherwise each subfolder is.
            `languages`, `licenses` and `quality` apply to `sources` alone.
        standard_library: whether the standard library of the running interpreter is read as well.
        installed: whether the packages installed in this environment are read as well.
        max_per_package: functions kept of one package, so that no single style dominates.
        max_characters: longer functions, and longer files that are kept whole, are left out.
        near_duplicate: Jaccard similarity of word sets from which one of two is dropped.
        permutations: MinHash permutations; more miss fewer near duplicates and take longer.
        sources: repositories of files of any language, beside the packages.
        languages: languages to keep; empty keeps all known ones. Files of a language that is named
            here and not known are kept whole.
        licenses: SPDX identifiers that allow a file's use; "unknown" allows files without any.
        quality: limits beyond which a file of the sources is left out.
        evaluation_sets: texts that no snippet may share an n-gram of words with.
        ngram_words: length of such an n-gram.
        min_ngram_words: length of the shortest text of an evaluation set that is searched for;
            capped at `ngram_words`.
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
    """Counts of files, of the functions cut from them, and of what was kept."""

    files: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    licenses: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    packages: Counter[str] = field(default_factory=Counter)

    def facts(self) -> dict[str, object]:
        """The counts as they stand in the manifest."""
        named = {
            "files": self.files,
            "counts": self.counts,
            "licenses": self.licenses,
            "languages": self.languages,
        }
        sorted_counts = {name: dict(sorted(counts.items())) for name, counts in named.items()}
        return {**sorted_counts, "packages": len(self.packages)}


def run(config: CorpusConfig, inputs: Path, output: Path) -> None:
    """Read all sources, relative to `inputs`; write shards of snippets.

    Raises:
        StageError: a source cannot be read, or nothing was kept.
    """
    counts = CorpusCounts()
    # Indexed before any source is read, so that a mistake in the evaluation sets shows at once.
    evaluation_ngrams = index_evaluation_sets(
        config.evaluation_sets, config.ngram_words, config.min_ngram_words, inputs
    )
    with ExternalSort() as by_package, writing_stage(config, output) as draft:
        for file in ProgressBar(
            source_files(config, inputs, counts.files), desc="files", unit=" files"
        ):
            for position, snippet in enumerate(
                snippets_of(file, config, evaluation_ngrams, counts)
            ):
                by_package.add(snippet, file.rank, position)
        # From here on the order is that of the hashes, whatever order the files came in.
        found = ProgressBar(by_package.sorted(), desc="near duplicates", total=len(by_package))
        limited = first_per_package(found, config.max_per_package, counts.counts)
        distinct = deduplicated(limited, config.near_duplicate, config.permutations, counts.counts)
        write_snippets(draft.path, counted(distinct, counts), config.rows_per_shard)
        draft.facts |= counts.facts() | {"evaluation_sets": evaluation_ngrams.facts}
        if not counts.counts["kept"]:
            files, functions = (
                ", ".join(f"{n} {reason}" for reason, n in each.most_common(5)) or "none"
                for each in (counts.files, counts.counts)
            )
            raise StageError(
                f"nothing was kept. Files: {files}; functions: {functions}. docs/corpus.md "
                "explains each count"
            )


def source_files(config: CorpusConfig, work: Path, counts: Counter[str]) -> Iterator[SourceFile]:
    """Files of all packages, then those files of the sources that pass the filters."""
    found = packages.packages(
        [work / folder for folder in config.folders],
        standard_library=config.standard_library,
        installed=config.installed,
    )
    yield from packages.files(found, counts)
    languages = {language_of(name, "") for name in config.languages} or set(LANGUAGES)
    allowed = LicenseAllowList(config.licenses)
    for source in config.sources:
        for file in source.files(work, counts):
            language = language_of(file.language, file.path, file.text)
            license_ = file.license or UNKNOWN
            # The cheap checks come first; the first reason is the one that counts.
            if language not in languages:
                counts[f"language: {language or 'unknown'}"] += 1
            elif not allowed.permits(license_):
                counts[f"license: {license_}"] += 1
            elif reason := reason_to_skip(file, config.quality):
                counts[reason] += 1
            else:
                yield file


def snippets_of(
    file: SourceFile,
    config: CorpusConfig,
    evaluation_ngrams: EvaluationNgrams,
    counts: CorpusCounts,
) -> Iterator[Snippet]:
    """Snippets of one file; `counts` says why other functions were left out."""
    language = language_of(file.language, file.path, file.text)
    known = LANGUAGES.get(language)
    fragments: Iterable[Fragment] | None
    if language == "python":
        fragments = python.functions(file.text, counts.counts)
        counts.files["does not parse" if fragments is None else "cut into functions"] += 1
    elif known is not None and treesitter.parser_of(known) is not None:
        fragments = treesitter.functions(file.text, known, counts.counts)
        counts.files["cut into functions"] += 1
    else:
        name = PurePosixPath(file.path).stem
        fragments = [Fragment(name, file.path, "", file.text.strip("\n"))]
        counts.files[f"kept whole: {language}"] += 1
    for fragment in fragments or ():
        snippet = Snippet(
            id=hashlib.sha256(fragment.source.encode()).hexdigest()[:16],
            package=file.repository,
            license=file.license or UNKNOWN,
            path=file.path,
            name=fragment.name,
            signature=fragment.signature,
            docstring=fragment.docstring,
            source=fragment.source,
            language=language,
            sha256=file.sha256,
        )
        if len(snippet.source) > config.max_characters:
            counts.counts["too long"] += 1
        elif (name_of_set := evaluation_ngrams.overlap(snippet)) is not None:
            counts.counts[f"in evaluation set: {name_of_set}"] += 1
        else:
            yield snippet


def counted(snippets: Iterable[Snippet], counts: CorpusCounts) -> Iterator[Snippet]:
    """The same snippets, each counted as it passes: they are too many to be held in a list."""
    for snippet in snippets:
        counts.counts["kept"] += 1
        counts.licenses[snippet.license] += 1
        counts.languages[snippet.language] += 1
        counts.packages[snippet.package] += 1
        yield snippet
