"""What a finished stage was made from, as the manifests tell it."""

from pathlib import Path
from typing import Any

from trainer.pairs.row import Pairs, read_pairs
from trainer.stage import StageError, manifest_hash, read_manifest


def lineage(inputs: Path, stages: list[str]) -> dict[str, dict[str, Any]]:
    """Manifests of these stages and of all that they were made from, sources first.

    Raises:
        StageError: a stage has not finished, or was made from another output of an earlier one
            than is there now.
    """
    found: dict[str, dict[str, Any]] = {}
    for stage in stages:
        _trace(inputs, stage, found)
    return found


def _trace(inputs: Path, stage: str, found: dict[str, dict[str, Any]]) -> None:
    if stage in found:
        return
    manifest = read_manifest(inputs / stage)
    for name, expected in manifest["inputs"].items():
        _trace(inputs, name, found)
        if manifest_hash(inputs / name) != expected:
            raise StageError(f"{name} has changed since {stage} read it: run {stage} again")
    found[stage] = manifest


def require_unseen(rows: list[Pairs], split: str, inputs: Path, checkpoint: str) -> None:
    """No group of `rows` is in the training split of any pairs that led to the checkpoint.

    Raises:
        StageError: one is, or there are no rows.
    """
    if not rows:
        raise StageError(f"the {split} split is empty: raise {split}_share, or add groups")
    wanted = {row.group for row in rows}
    for stage, manifest in lineage(inputs, [checkpoint]).items():
        if not any(name.startswith("train-") for name in manifest["files"]):
            continue
        if both := sorted({row.group for row in read_pairs(inputs / stage, "train")} & wanted):
            shown = ", ".join(both[:5]) + (", ..." if len(both) > 5 else "")
            raise StageError(
                f"{checkpoint} was trained on {shown} ({stage}), of the {split} split: give all "
                "stages of pairs the same shares, and run them again"
            )
