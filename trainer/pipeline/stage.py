"""A stage's output folder: rows in JSON Lines files, and a manifest that is written last."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import TypeAdapter

from reward_model.release.release import sha256

MANIFEST = "manifest.json"


class Dataclass(Protocol):
    """Any dataclass: the config of a stage, or a row of its output."""

    __dataclass_fields__: "ClassVar[dict[str, dataclasses.Field[Any]]]"


R = TypeVar("R", bound=Dataclass)


class StageError(Exception):
    """A stage cannot run; the message says what to do."""


@dataclass
class Draft:
    """A stage's output while it is being made: a folder to fill and facts for its manifest."""

    path: Path
    facts: dict[str, object] = field(default_factory=dict)


@contextmanager
def writing_stage(
    config: Dataclass, output: Path, *, reads: Iterable[Path] = ()
) -> Iterator[Draft]:
    """Fill a draft folder, which replaces `output` as a whole when the block ends without an error.

    Args:
        reads: folders of the stages that the output is made from; the manifest holds their hashes.
    """
    inputs = {folder.name: manifest_hash(folder) for folder in reads}
    code = commit()  # before the work, which may take days in which the checkout changes
    draft = Draft(output.with_name(f".{output.name}.partial"))
    shutil.rmtree(draft.path, ignore_errors=True)  # an earlier run may have been killed
    draft.path.mkdir(parents=True)
    yield draft
    manifest = {
        "stage": output.name,
        "config": dataclasses.asdict(config),
        "config_sha256": config_hash(config),
        "inputs": inputs,
        "commit": code,
        "files": {file.name: sha256(file) for file in sorted(draft.path.iterdir())},
        **draft.facts,
    }
    # The manifest comes last, and a folder without one does not count: a run that was killed at any
    # moment leaves nothing that looks finished.
    (draft.path / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    shutil.rmtree(output, ignore_errors=True)
    draft.path.replace(output)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished stage; raises StageError when the stage has not finished."""
    if not (folder / MANIFEST).is_file():
        raise StageError(f"{folder} has no {MANIFEST}: run `python -m trainer {folder.name}` first")
    manifest = json.loads((folder / MANIFEST).read_text())
    assert isinstance(manifest, dict)
    return manifest


def config_hash(config: Dataclass) -> str:
    """The hash of all fields, whatever their order."""
    text = json.dumps(dataclasses.asdict(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def bookkeeping(default: Any) -> Any:
    """A field of a config that changes nothing of a stage's output, and so makes none outdated."""
    return field(default=default, metadata={"bookkeeping": True})


def without_bookkeeping(config: Dataclass, recorded: dict[str, Any]) -> dict[str, Any]:
    """The fields of a recorded config of this type that the stage's output depends on.

    A field that came after the record was written has its default, as which the stage behaved.
    """
    kept = dict(recorded)
    for each in dataclasses.fields(config):
        inner = getattr(config, each.name)
        if each.metadata.get("bookkeeping"):
            kept.pop(each.name, None)
        elif each.name not in recorded:
            if each.default is not dataclasses.MISSING:
                kept[each.name] = json.loads(json.dumps(each.default, default=dataclasses.asdict))
        elif dataclasses.is_dataclass(inner) and isinstance(recorded[each.name], dict):
            assert not isinstance(inner, type)
            kept[each.name] = without_bookkeeping(inner, recorded[each.name])
        elif isinstance(inner, tuple) and isinstance(recorded[each.name], list):
            # Configs in a list, such as the sources of a mixture, get fields in later versions too.
            before = recorded[each.name]
            if len(inner) == len(before) and all(map(dataclasses.is_dataclass, inner)):
                kept[each.name] = [
                    without_bookkeeping(one, was) for one, was in zip(inner, before, strict=True)
                ]
    return kept


def write_rows(file: Path, rows: Iterable[Dataclass]) -> None:
    with file.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(dataclasses.asdict(row)) + "\n" for row in rows)


def read_rows(file: Path, row_type: type[R]) -> list[R]:
    """Rows of a finished stage, checked against their type, nested dataclasses included."""
    read_manifest(file.parent)
    adapter = TypeAdapter(row_type)
    with file.open("rb") as stream:
        return [adapter.validate_json(line) for line in stream]


def manifest_hash(folder: Path) -> str:
    """The identity of a finished stage's output: its manifest holds the hash of every file."""
    read_manifest(folder)
    return sha256(folder / MANIFEST)


def commit() -> str | None:
    """The commit of this checkout, "-dirty" if it has changes; None without git or a checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    command += ["--abbrev=40", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
