"""Preference data -> PreferenceRow: read in the field's formats, mixed, held out by problem."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reward_model.release.release import sha256
from trainer.pairs.row import SPLITS, PreferenceRow, write_pairs
from trainer.pairs.split import split_of
from trainer.pipeline.stage import StageError, writing_stage
from trainer.preferences.files import files_of
from trainer.preferences.source import Account, Source, convert

_BY_SOURCE = dict[str, list[PreferenceRow]]


@dataclass(frozen=True)
class PreferencesConfig:
    """What finetuning learns from.

    Attributes:
        seed: of which pairs and rows are kept where some are left out.
        evaluation_share, calibration_share: of groups, held out whole.
        max_held_out: rows of one source kept in each held-out split.
        rows_per_shard: rows in one file.
    """

    sources: tuple[Source, ...]
    seed: int = 1
    evaluation_share: float = 0.10
    calibration_share: float = 0.03
    max_held_out: int = 1500
    rows_per_shard: int = 10_000


def run(config: PreferencesConfig, inputs: Path, output: Path) -> None:
    """Read every source, seen from `inputs`; write shards of each split, and every row's fate."""
    _check(config.sources)
    accounts = {source.name: Account() for source in config.sources}
    found = {
        source.name: convert(source, inputs, config.seed, accounts[source.name])
        for source in config.sources
    }
    splits = _split(_distinct(found, accounts), config, accounts)
    splits["train"] = _mixed(splits["train"], config.sources, accounts)
    with writing_stage(config, output) as draft:
        counts: Counter[str] = Counter()
        for split, by_source in splits.items():
            rows = _shuffled((row for rows in by_source.values() for row in rows), config.seed)
            write_pairs(draft.path, split, rows, config.rows_per_shard)
            counts += _counts(split, rows, accounts)
        draft.facts["counts"] = dict(sorted(counts.items()))
        draft.facts["sources"] = {name: account.facts() for name, account in accounts.items()}
        draft.facts["read"] = _hashes(config.sources, inputs)


def _check(sources: tuple[Source, ...]) -> None:
    """Raises StageError for a mixture that means nothing."""
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


def _distinct(found: _BY_SOURCE, accounts: dict[str, Account]) -> _BY_SOURCE:
    """The same row once, also where two sources have it."""
    seen: set[str] = set()
    distinct: _BY_SOURCE = {}
    for name, rows in found.items():
        kept = {row.id: row for row in rows if row.id not in seen}
        accounts[name].made["left out: duplicate"] += len(rows) - len(kept)
        seen |= kept.keys()
        distinct[name] = list(kept.values())
    return distinct


def _split(
    found: _BY_SOURCE, config: PreferencesConfig, accounts: dict[str, Account]
) -> dict[str, _BY_SOURCE]:
    """Each group on one side, whichever sources have it."""
    own: dict[str, str] = {source.name: source.split for source in config.sources}
    claimed = _claims(found, own)
    splits: dict[str, _BY_SOURCE] = {split: {name: [] for name in found} for split in SPLITS}
    for name, rows in found.items():
        for row in _shuffled(rows, config.seed):
            side = claimed.get(row.group) or split_of(row.group, config)
            kept = splits[side][name]
            if own[name] not in ("", side):
                accounts[name].made[f"left out: another source's {side}"] += 1
            elif side != "train" and len(kept) == config.max_held_out:
                accounts[name].made[f"left out: {side} over the limit"] += 1
            else:
                kept.append(row)
    return splits


def _claims(found: _BY_SOURCE, own: dict[str, str]) -> dict[str, str]:
    """Groups whose side a source decides: what one of them holds out, none is trained on."""
    claims: dict[str, str] = {}
    for split in SPLITS:
        for name, rows in found.items():
            if own[name] == split:
                claims |= dict.fromkeys((row.group for row in rows), split)
    return claims


def _mixed(
    found: _BY_SOURCE, sources: tuple[Source, ...], accounts: dict[str, Account]
) -> _BY_SOURCE:
    """At most `max_rows` rows of each source, then as many as its share allows."""
    mixed = {source.name: found[source.name][: source.max_rows] for source in sources}
    shares = {source.name: source.share for source in sources if source.share is not None}
    total = min((len(mixed[name]) / share for name, share in shares.items()), default=0.0)
    for name, share in shares.items():
        mixed[name] = mixed[name][: round(total * share)]
    for name, rows in mixed.items():
        accounts[name].made["left out: train over limit or share"] += len(found[name]) - len(rows)
    return mixed


def _shuffled(rows: Iterable[PreferenceRow], seed: int) -> list[PreferenceRow]:
    """By hash: the first hundred are among the first thousand, whatever else there is."""
    return sorted(rows, key=lambda row: hashlib.sha256(f"{seed} {row.id}".encode()).digest())


def _counts(split: str, rows: list[PreferenceRow], accounts: dict[str, Account]) -> Counter[str]:
    for row in rows:
        accounts[row.source].made[split] += 1
    return Counter(
        {
            f"{split}: rows": len(rows),
            f"{split}: pairs": sum(len(row.rejected) for row in rows),
            f"{split}: groups": len({row.group for row in rows}),
        }
    )


def _hashes(sources: tuple[Source, ...], work: Path) -> dict[str, str]:
    """Of every file read, by its path as the config has it."""
    paths = [path for source in sources for path in source.paths]
    files = {Path(path): files_of(work / path) for path in paths}
    return {
        str(path if (work / path).is_file() else path / file.name): sha256(file)
        for path, found in files.items()
        for file in found
    }
