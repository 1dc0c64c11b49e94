"""Whether a stage has to run: its config, its inputs and its own output, by their hashes."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from reward_model.release.release import MANIFEST as RELEASE_MANIFEST
from trainer.pipeline.stage import MANIFEST, Row, config_hash, manifest_hash

RELEASE = "release"
"""The folder of the stage `publish`; all others are called as their stage is."""


def folder_of(stage: str, work: Path) -> Path:
    """Where a stage writes."""
    return work / (RELEASE if stage == "publish" else stage)


def reason_to_run(stage: str, config: Row, work: Path) -> str | None:
    """Why its output is not what it would make now; None when it is.

    Code is not looked at: who changes a stage runs it again by name.
    """
    record = _record(folder_of(stage, work))
    if record is None:
        return "it has not finished yet"
    if record["config_sha256"] != config_hash(config):
        return f"its config is another: {_difference(record['config'], config)}"
    for name, expected in record["inputs"].items():
        if not (work / name / MANIFEST).is_file():
            return f"{name}, which it read, is not there any more"
        if manifest_hash(work / name) != expected:
            return f"{name} has changed since"
    return None


def _record(folder: Path) -> dict[str, Any] | None:
    """What a stage wrote of itself; a release keeps it among the facts of its training."""
    if (folder / MANIFEST).is_file():
        record: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        return record
    if (folder / RELEASE_MANIFEST).is_file():
        training = json.loads((folder / RELEASE_MANIFEST).read_text())["training"]
        own: dict[str, Any] | None = training.get("publish")
        return own
    return None


def _difference(before: dict[str, Any], config: Row) -> str:
    now = json.loads(json.dumps(dataclasses.asdict(config)))
    names = sorted(before.keys() | now.keys())
    changes = [
        f"{name} {json.dumps(before.get(name))} -> {json.dumps(now.get(name))}"
        for name in names
        if before.get(name) != now.get(name)
    ]
    return ", ".join(changes)
