"""Traces a finished stage back to everything that it was made from, by the manifests."""

from pathlib import Path
from typing import Any

from trainer.pipeline.stage import MANIFEST, StageError, manifest_hash, read_manifest


def lineage(inputs: Path, stages: list[str]) -> dict[str, dict[str, Any]]:
    """Manifests of these stages and of everything they were made from, sources first.

    Raises:
        StageError: a stage has not finished, or was made from another output of an earlier stage
            than the one that is there now.
    """
    found: dict[str, dict[str, Any]] = {}

    def trace(stage: str) -> None:
        if stage in found:
            return
        manifest = read_manifest(inputs / stage)
        for name, expected in manifest["inputs"].items():
            trace(name)
            if manifest_hash(inputs / name) != expected:
                raise StageError(f"{name} has changed since {stage} read it: run {stage} again")
        found[stage] = manifest  # after its inputs, which makes sources come first

    for stage in stages:
        trace(stage)
    return found


def training_pairs(inputs: Path, checkpoint: str) -> list[str]:
    """The stages of pairs that a checkpoint, or one that it started from, was trained on.

    Raises:
        StageError: see `lineage`.
    """
    stages = lineage(inputs, [checkpoint])
    return [
        stage
        for stage, manifest in stages.items()
        if any(file.startswith("train-") for file in manifest["files"])
    ]


def is_stage(inputs: Path, name: str) -> bool:
    """Whether `name` is a finished stage of this run.

    A stage of another run, named by its path, is not: the stages that it was made from are not
    below `inputs`, so its lineage cannot be traced.
    """
    folder = (inputs / name).absolute()
    return folder.parent == inputs.absolute() and (folder / MANIFEST).is_file()
