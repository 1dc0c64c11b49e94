"""A clone -> pairs: each function after a commit over itself before it, the message as the request.

Where history gives few pairs, mutants of the repository's functions join them (`trainer/pairs`).
"""

import dataclasses
import hashlib
import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter

from trainer.corpus import python
from trainer.corpus.deduplicate import deduplicated
from trainer.corpus.languages import LANGUAGES, language_of
from trainer.corpus.licenses import PERMISSIVE, LicenseAllowList
from trainer.corpus.quality import reason_to_skip
from trainer.corpus.snippet import Snippet
from trainer.corpus.sources.source import SourceFile
from trainer.history import messages
from trainer.history.changes import ChangeLimits, History, HistoryCounts
from trainer.history.commit import commits, count
from trainer.history.functions import meaning
from trainer.history.git import BlobReader, GitRepository
from trainer.history.hold_out import FileNames, divide
from trainer.history.license import LICENSE_FILE, combined
from trainer.history.license import license_of as license_of_text
from trainer.pairs.embedded import RejectedConfig
from trainer.pairs.group import request_key
from trainer.pairs.make import PairsConfig, make_rows
from trainer.pairs.row import SPLITS, PreferenceRow, Rejected, write_pairs
from trainer.pairs.split import HoldOut
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.stage import StageError, writing_stage

OWN = "LicenseRef-own"

# Functions of today that are looked at for each row that is wanted; some make no pair.
_SAMPLE = 20


@dataclass(frozen=True, kw_only=True)
class CommitsConfig(HoldOut, ChangeLimits):
    """The history to read, and how its commits become pairs. Files are held out.

    Attributes:
        repository: folder of a clone; a relative path starts at the work folder.
        revision: branch, tag or commit whose history is read.
        max_commits: newest commits that are read; None reads all.
        own: whether the repository is yours, so that its license does not matter.
        license: SPDX identifier of the repository; without it, its license files decide.
        licenses: SPDX identifiers that allow its use.
        min_rows: training rows up to which mutants of the repository's Python functions join those
            of its history; each held-out split gets its share of them. 0 makes none.
        mutants: number of rejected answers of each kind for such a function.
        seed: seed of the mutants and of the order of the rows.
    """

    repository: str = ""
    revision: str = "HEAD"
    max_commits: int | None = None
    own: bool = False
    license: str = ""
    licenses: tuple[str, ...] = PERMISSIVE
    min_rows: int = 0
    mutants: RejectedConfig = field(
        default_factory=lambda: RejectedConfig(
            mutants=3, truncated=0, repeated=0, other_functions=0, other_bodies=0
        )
    )
    seed: int = 1
    evaluation_share: float = 0.15
    calibration_share: float = 0.05

    def __post_init__(self) -> None:
        """Raise StageError for what no history can be read by."""
        super().__post_init__()
        try:
            re.compile(self.message_pattern)
        except re.error as error:
            raise StageError(
                f"message_pattern {self.message_pattern!r} is no regular expression: {error}"
            ) from error
        if self.max_commits is not None and self.max_commits < 1:
            raise StageError(f"max_commits is {self.max_commits}: it must be 1 or more, or null")
        for name in self.languages:
            if language_of(name, "") not in LANGUAGES:
                raise StageError(f"languages has {name!r}; there are {', '.join(LANGUAGES)}")


@dataclass(frozen=True)
class DraftRow:
    """A row whose split is not known yet, because a file's older names are still to come.

    Attributes:
        offset: where the row stands in the temporary file.
        meanings: of the function before and after.
    """

    offset: int
    id: str
    path: str
    commit: str
    meanings: frozenset[str]


def check(config: CommitsConfig, inputs: Path) -> None:
    """Raise StageError when there is no such history, or its license is not allowed."""
    repository = GitRepository(config.repository, inputs)
    license_of(repository, head_of(repository, config), config)


def run(config: CommitsConfig, inputs: Path, output: Path) -> None:
    """Read the history; write shards of each split, and the fates of all commits.

    Raises:
        StageError: there is no such history, its license is not allowed, or it yields no pair.
    """
    repository = GitRepository(config.repository, inputs)
    head = head_of(repository, config)
    spdx = license_of(repository, head, config)
    if repository.output("rev-parse", "--is-shallow-repository") == "true":
        print("commits: the clone is shallow: `git fetch --unshallow` brings the other commits")
    names = FileNames()
    with (
        writing_stage(config, output) as draft,
        tempfile.TemporaryFile("w+", encoding="utf-8") as waiting,
        repository.reading("cat-file", "--batch", stdin=subprocess.PIPE) as reader,
    ):
        blobs = BlobReader(reader)
        history = History(config, license_check(config), blobs, names)
        counts = history.counts
        drafted = list(read_history(repository, head, config, history, waiting))
        snippets: list[Snippet] = []
        wanted = config.min_rows * (1 + config.evaluation_share + config.calibration_share)
        if len(drafted) < wanted:
            found = functions_of_today(repository, head, spdx, config, blobs, counts)
            by_name = sorted(found, key=lambda each: (each.id, each.path))
            # Ids are hashes, so the first ones are a sample; a large repository has far too many.
            sample = by_name[: _SAMPLE * config.min_rows]
            snippets = list(deduplicated(sample, 0.8, 64, counts.today))
        files = Files(repository.name, names, drafted, snippets, config)
        made = 0
        for split, rows in rows_by_split(config, files, drafted, snippets, waiting, counts):
            write_pairs(draft.path, split, rows, config.rows_per_shard)
            counts.rows[f"{split}: rows"] = len(rows)
            counts.rows[f"{split}: files"] = len({row.group for row in rows})
            made += len(rows)
        if not made:
            reasons = ", ".join(f"{n} {reason}" for reason, n in counts.commits.most_common(5))
            raise StageError(
                f"no commit of {repository.folder} makes a pair ({reasons or 'no commits'}): "
                "docs/corpus.md explains each count, and commits.min_rows adds mutants"
            )
        draft.facts |= {"head": head, "license": spdx, **counts.facts()}


def head_of(repository: GitRepository, config: CommitsConfig) -> str:
    """The id of the commit whose history is read."""
    try:
        revision = f"{config.revision}^{{commit}}"
        return repository.output("rev-parse", "--verify", "--end-of-options", revision)
    except StageError as error:
        raise StageError(
            f"{repository.folder} has no commit {config.revision}: name a branch, a tag or a "
            "commit as `revision`"
        ) from error


def license_of(repository: GitRepository, head: str, config: CommitsConfig) -> str:
    """The repository's license; raises StageError if it allows no use."""
    if config.own:
        return OWN
    spdx = config.license
    if not spdx:
        listed = repository.output("ls-tree", "--name-only", "-z", head).split("\0")
        files = [name for name in listed if LICENSE_FILE.match(name)]
        texts = [repository.output("cat-file", "blob", f"{head}:{name}") for name in files]
        spdx = combined([license_of_text(text) for text in texts])
    if not LicenseAllowList(config.licenses).permits(spdx):
        raise StageError(
            f"the license of {repository.folder} is {spdx}, which `licenses` does not allow: set "
            "commits.own=true if the repository is yours, or commits.license if it has another one"
        )
    return spdx


def license_check(config: CommitsConfig) -> LicenseAllowList | None:
    """Decides on licenses that files state themselves."""
    return None if config.own else LicenseAllowList(config.licenses)


def read_history(
    repository: GitRepository, head: str, config: CommitsConfig, history: History, waiting: IO[str]
) -> Iterator[DraftRow]:
    """All rows of the history. They go to the file `waiting`, because history may be long."""
    total = count(repository, head, config.max_commits)
    stream = commits(repository, head, config.max_commits)
    for commit in ProgressBar(stream, desc="commits", total=total, unit=" commits"):
        message, changes = history.changes(commit)
        for change in changes:
            before, after = change.before, change.after
            row = PreferenceRow(
                id=f"{commit.id[:12]}/{change.path}/{after.name}",
                group="",
                prompt=messages.request(message, change.path, before.signature),
                chosen=after.text,
                rejected=(Rejected("before", before.text),),
                source="commits",
            )
            meanings = frozenset({change.before_meaning.code, change.after_meaning.code})
            yield DraftRow(waiting.tell(), row.id, change.path, commit.id, meanings)
            waiting.write(json.dumps(dataclasses.asdict(row)) + "\n")


def functions_of_today(
    repository: GitRepository,
    head: str,
    spdx: str,
    config: CommitsConfig,
    blobs: BlobReader,
    counts: HistoryCounts,
) -> Iterator[Snippet]:
    """The Python functions of the newest tree, of which mutants can be made."""
    for entry in repository.output("ls-tree", "-r", "-z", head).split("\0"):
        facts, _, path = entry.partition("\t")
        if not path.endswith(".py") or not facts.startswith("100"):
            continue
        text = blobs.text(facts.split()[2], config.quality.max_characters)
        if text is None:
            continue
        file = SourceFile(text, path, repository.name, spdx)
        if reason := reason_to_skip(file, config.quality):
            counts.today[reason] += 1
            continue
        for each in python.functions(text, counts.today) or ():
            yield Snippet(
                id=hashlib.sha256(each.source.encode()).hexdigest()[:16],
                package=repository.name,
                license=spdx,
                path=path,
                name=each.name,
                signature=each.signature,
                docstring=each.docstring,
                source=each.source,
                sha256=file.sha256,
            )


class Files:
    """The group and the split of each path."""

    def __init__(
        self,
        repository: str,
        names: FileNames,
        drafted: list[DraftRow],
        snippets: list[Snippet],
        config: HoldOut,
    ) -> None:
        self._repository, self._names = repository, names
        rows = Counter(self.group(row.path) for row in drafted)
        functions = Counter(self.group(snippet.path) for snippet in snippets)
        self._splits = divide(rows, functions, config)

    def group(self, path: str) -> str:
        return f"{self._repository}/{self._names.last(path)}"

    def split(self, path: str) -> str:
        return self._splits[self.group(path)]


def rows_by_split(
    config: CommitsConfig,
    files: Files,
    drafted: list[DraftRow],
    snippets: list[Snippet],
    waiting: IO[str],
    counts: HistoryCounts,
) -> Iterator[tuple[str, list[PreferenceRow]]]:
    """The rows of each split. What a held-out split has shown is in no other one."""
    read = TypeAdapter(PreferenceRow).validate_json
    # Meanings of functions, ids of commits, and requests.
    shown: set[str] = set()
    shares = {"evaluation": config.evaluation_share, "calibration": config.calibration_share}
    # Held-out splits come first, because they keep what more than one split has.
    for split in reversed(SPLITS):
        rows: list[PreferenceRow] = []
        showing: set[str] = set()
        own = [row for row in drafted if files.split(row.path) == split]
        for drawn in sorted(own, key=lambda row: hashlib.sha256(row.id.encode()).digest()):
            waiting.seek(drawn.offset)
            row = replace(read(waiting.readline()), group=files.group(drawn.path))
            facts = {drawn.commit, *drawn.meanings, request_key(row.prompt)}
            if facts & shown:
                counts.rows["left out: its commit or function is on another side"] += 1
            elif config.is_full(split, len(rows)):
                counts.rows[f"left out: {split} over the limit"] += 1
            else:
                rows.append(row)
                showing |= facts
        counts.rows[f"{split}: from history"] = len(rows)
        wanted = max(0, round(config.min_rows * shares.get(split, 1.0)) - len(rows))
        of_today = [
            replace(each, package=files.group(each.path))
            for each in snippets
            if files.split(each.path) == split
        ]
        made = list(islice(mutant_rows(config, of_today, split, shown, showing, counts), wanted))
        rows += made
        counts.rows[f"{split}: of mutants"] = len(made)
        shown |= showing
        yield split, rows


def mutant_rows(
    config: CommitsConfig,
    snippets: list[Snippet],
    split: str,
    shown: set[str],
    showing: set[str],
    counts: HistoryCounts,
) -> Iterator[PreferenceRow]:
    """Mutants of today's functions; what they show to a model is added to `showing`."""
    pairs = PairsConfig(
        seed=config.seed,
        generate=config.mutants,
        max_characters=config.max_characters,
        max_held_out=config.max_held_out,
    )
    for row in make_rows(snippets, split, pairs, counts.today) if snippets else ():
        read = meaning(row.chosen, "python")
        facts = {request_key(row.prompt), read.code if read else row.id}
        if facts & shown:
            counts.rows["left out: its commit or function is on another side"] += 1
        else:
            showing |= facts
            yield replace(row, source="mutants")
