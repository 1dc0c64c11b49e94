"""Decides whether a stage must run, by hashes of its config, its inputs and its output."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from reward_model.release.release import MANIFEST as RELEASE_MANIFEST
from trainer.pipeline.stage import (
    MANIFEST,
    Dataclass,
    config_hash,
    manifest_hash,
    without_bookkeeping,
)


def folder_of(stage: str, work: Path) -> Path:
    """The folder that a stage writes: its name, except that `publish` writes `release`."""
    return work / ("release" if stage == "publish" else stage)


def reason_to_run(stage: str, config: Dataclass, work: Path) -> str | None:
    """The reason why a stage's output is not up to date; None when it is.

    The stage's code is not compared: after changing it, run the stage by name.
    """
    folder = folder_of(stage, work)
    record: dict[str, Any] | None = None
    if (folder / MANIFEST).is_file():
        record = json.loads((folder / MANIFEST).read_text())
    elif (folder / RELEASE_MANIFEST).is_file():
        # A release has a manifest of its own kind, which holds the stage's under `training`.
        record = json.loads((folder / RELEASE_MANIFEST).read_text())["training"].get("publish")
    if record is None:
        return "it has not finished yet"
    if record["config_sha256"] != config_hash(config):
        now = json.loads(json.dumps(dataclasses.asdict(config)))  # tuples become lists, as there
        before, now = (without_bookkeeping(config, each) for each in (record["config"], now))
        changes = [
            f"{name} {json.dumps(before.get(name))} -> {json.dumps(now.get(name))}"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        if changes:
            return f"its config has changed: {', '.join(changes)}"
    for name, expected in record["inputs"].items():
        if not (work / name / MANIFEST).is_file():
            return f"its input {name} no longer exists"
        if manifest_hash(work / name) != expected:
            return f"its input {name} has changed"
    return None
