"""What a finished stage was made from, as the manifests tell it."""

from pathlib import Path
from typing import Any

from trainer.pipeline.stage import MANIFEST, StageError, manifest_hash, read_manifest


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


def training_pairs(inputs: Path, checkpoint: str) -> list[str]:
    """The stages of pairs that a checkpoint and those it started from were trained on.

    Raises:
        StageError: as `lineage`.
    """
    stages = lineage(inputs, [checkpoint])
    return [
        stage
        for stage, manifest in stages.items()
        if any(file.startswith("train-") for file in manifest["files"])
    ]


def is_stage(inputs: Path, name: str) -> bool:
    """Whether it is a finished stage of this run. One of another run, named by its path, is not:
    what it was made from is not below `inputs`."""
    folder = (inputs / name).absolute()
    return folder.parent == inputs.absolute() and (folder / MANIFEST).is_file()
