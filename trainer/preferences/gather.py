"""Preference data -> preference rows: read in the field's formats, mixed, held out by problem."""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from reward_model.release.release import sha256
from trainer.pairs.policy_row import PolicyRow
from trainer.pairs.row import SPLITS, PreferenceRow, write_pairs
from trainer.pairs.split import HoldOut
from trainer.pipeline.stage import StageError, writing_stage
from trainer.preferences.doctor.check_pairs import large_groups
from trainer.preferences.openings import divided_openings, in_groups
from trainer.preferences.source import PreferenceSource, ReadingReport, convert
from trainer.tables.files import find_files

Row = TypeVar("Row", PreferenceRow, PolicyRow)
BySource = dict[str, list[PreferenceRow]]
"""Rows by the name of their source."""


@dataclass(frozen=True)
class PreferencesConfig(HoldOut):
    """The data that finetuning learns from. Its limit of held-out rows is for each source.

    Attributes:
        seed: seed of which pairs and rows are kept where some are left out.
    """

    sources: tuple[PreferenceSource, ...]
    seed: int = 1


def run(config: PreferencesConfig, inputs: Path, output: Path) -> None:
    """Read every source, relative to `inputs`; write shards of each split, and every row's fate."""
    check_mixture(config.sources)
    reports = {source.name: ReadingReport() for source in config.sources}
    found: BySource = {}
    seen: set[str] = set()  # a row that two sources have is kept by the first
    for source in config.sources:
        rows = convert(source, inputs, config.seed, reports[source.name])
        distinct = {row.id: row for row in rows if row.id not in seen}
        reports[source.name].made["left out: duplicate"] += len(rows) - len(distinct)
        seen |= distinct.keys()
        found[source.name] = list(distinct.values())
    groups = divided_openings(row for rows in found.values() for row in rows)
    found = {name: in_groups(rows, groups) for name, rows in found.items()}
    splits = divide(found, config, reports)
    # Shares are of training rows, so the mixture is made after the hold-out.
    splits["train"] = mix(splits["train"], config.sources, reports)
    with writing_stage(config, output) as draft:
        counts: Counter[str] = Counter()
        for split, by_source in splits.items():
            rows = shuffled((row for rows in by_source.values() for row in rows), config.seed)
            write_pairs(draft.path, split, rows, config.rows_per_shard)
            for row in rows:
                reports[row.source].made[split] += 1
            counts[f"{split}: rows"] = len(rows)
            counts[f"{split}: pairs"] = sum(len(row.rejected) for row in rows)
            counts[f"{split}: groups"] = len({row.group for row in rows})
        draft.facts["counts"] = dict(sorted(counts.items()))
        draft.facts["warnings"] = warnings = warnings_about(splits, config)
        for warning in [*left_out(reports), *warnings]:
            print(f"preferences: {warning}", file=sys.stderr, flush=True)
        draft.facts["sources"] = {name: report.facts() for name, report in reports.items()}
        # Each file that was read, by its path as the config has it; folders and patterns have more
        # than one.
        draft.facts["read"] = {
            path if (inputs / path).is_file() else f"{path}/{Path(file.path).name}": sha256(
                Path(file.path)
            )
            for source in config.sources
            for path in source.paths
            for file in find_files(path, inputs)
        }


def check_mixture(sources: tuple[PreferenceSource, ...]) -> None:
    """Raise StageError for a mixture that means nothing."""
    names = [source.name for source in sources]
    if not names or len(set(names)) < len(names):
        raise StageError("give at least one source, and each a name of its own")
    for source in sources:
        if bool(source.paths) == (source.dataset is not None):
            raise StageError(f"the source {source.name} needs either paths or a dataset")
        if source.weight <= 0 or (source.share is not None and source.share <= 0):
            raise StageError(f"weight and share of the source {source.name} must be above 0")
    trained = {source.share is None for source in sources if source.split in ("", "train")}
    if len(trained) > 1:
        raise StageError("give a share to every source that is trained on, or to none")


def divide(
    found: BySource, config: PreferencesConfig, reports: dict[str, ReadingReport]
) -> dict[str, BySource]:
    """Rows by split and source. All rows of a group are on one side, whichever sources have it."""
    own: dict[str, str] = {source.name: source.split for source in config.sources}
    # A source with a split of its own decides the side of its groups. The held-out splits come
    # later in SPLITS and win: what one source holds out is trained on from no other.
    claimed: dict[str, str] = {}
    for split in SPLITS:
        for name, rows in found.items():
            if own[name] == split:
                claimed |= dict.fromkeys((row.group for row in rows), split)
    splits: dict[str, BySource] = {split: {name: [] for name in found} for split in SPLITS}
    for name, rows in found.items():
        for row in shuffled(rows, config.seed):
            side = claimed.get(row.group) or config.split_of(row.group)
            kept = splits[side][name]
            if own[name] not in ("", side):
                reports[name].made[f"left out: another source's {side}"] += 1
            elif config.is_full(side, len(kept)):
                reports[name].made[f"left out: {side} over the limit"] += 1
            else:
                kept.append(row)
    return splits


def mix(
    found: BySource, sources: tuple[PreferenceSource, ...], reports: dict[str, ReadingReport]
) -> BySource:
    """At most `max_rows` rows of each source, then as many as its share allows."""
    mixed = {source.name: found[source.name][: source.max_rows] for source in sources}
    shares = {source.name: source.share for source in sources if source.share is not None}
    # The scarcest source sets the size of the mixture.
    total = min((len(mixed[name]) / share for name, share in shares.items()), default=0.0)
    for name, share in shares.items():
        mixed[name] = mixed[name][: round(total * share)]
    for name, rows in mixed.items():
        reports[name].made["left out: train over limit or share"] += len(found[name]) - len(rows)
    return mixed


def warnings_about(splits: dict[str, BySource], config: PreferencesConfig) -> list[str]:
    """Warn of a split that should hold rows and is empty, and of a group that has most rows."""
    rows = {
        name: [row for found in each.values() for row in found] for name, each in splits.items()
    }
    number, groups = (
        sum(map(len, rows.values())),
        {row.group for each in rows.values() for row in each},
    )
    held_out = {"evaluation": config.evaluation_share, "calibration": config.calibration_share}
    found = []
    for split, kept in rows.items():
        expected = any(
            source.split == split or (source.split == "" and held_out.get(split, 1.0) > 0)
            for source in config.sources
        )
        if expected and not kept:
            found.append(
                f"the {split} split is empty, because {number} rows make {len(groups)} groups, and "
                "a group is held out whole or not at all: name a column that makes more groups as "
                "the source's `group`, or change the shares"
            )
    large = large_groups(rows["train"], rows["evaluation"])
    return [*found, *([large.message] if large.severity == "warning" else [])]


def left_out(reports: dict[str, ReadingReport]) -> list[str]:
    """A line for each reason why rows of a source are not used; the manifest has them, too."""
    return [
        f"{count} of {report.read.total()} rows of {name} are left out: {reason} (first at "
        f"{report.first[reason]})"
        for name, report in reports.items()
        for reason, count in report.read.most_common()
        if reason in report.first
    ]


def shuffled(rows: Iterable[Row], seed: int) -> list[Row]:
    """Rows in the order of their hashes: the first 100 are among the first 1000 of any mixture."""
    return sorted(rows, key=lambda row: hashlib.sha256(f"{seed} {row.id}".encode()).digest())
