"""Reads, verifies and writes release directories.

A release is a plain Hugging Face sequence-classification checkpoint plus `release.json`,
`golden.jsonl` and `report.json`. In place of whole weights it may hold a LoRA adapter, whose base
`release.json` names by hash; `lora` opens those. A directory without `release.json` is opened as a
bare checkpoint: its facts are derived, nothing is verified, and a warning says so.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from reward_model.release.calibration import Calibration
from reward_model.release.files import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    is_note,
    read_bytes,
    require_only,
    require_pickle_free,
    require_regular_files,
    shards_of,
    weight_files,
)
from reward_model.release.files import ReleaseError as ReleaseError
from reward_model.release.manifest import (
    Criterion,
    CriterionName,
    EncodingFacts,
    Golden,
    Manifest,
    seal_of,
)

MANIFEST = "release.json"
GOLDEN = "golden.jsonl"

CRITERIA = "criteria.json"
"""Criteria of a checkpoint that is no release; training writes the file beside the weights."""

# A directory has this suffix until its publishing is finished.
_PARTIAL = ".partial"

# The longest text of a checkpoint whose config does not say: that of BERT and its time.
_USUAL_MAX_TOKENS = 512

MAX_LABELS = 64
"""Labels of a checkpoint. Every answer has room for a score of each."""


@dataclass(frozen=True)
class Release:
    """The facts about a checkpoint that are needed to serve it.

    Attributes:
        dtype: the backbone's, unless a setting chooses another.
        pad_id: the score is read at the last token that differs from it; None reads the last token.
        chat_template: replaces the tokenizer's own; None keeps that.
        adapter: directory of a LoRA adapter to merge into the weights at `path`.
        is_self_contained: whether config and tokenizer are those of `adapter`, as in a release,
            which takes nothing but weights from its base.
        labels, label_names, bidirectional, segments, embeddings: as in `ConfigFacts` of
            `config.py`.
        criteria: what the model can be asked to judge by: a release's by its manifest, those of a
            bare checkpoint by the file that its training wrote.
        sets_max_tokens: whether the operator chose `max_tokens`; then it also replaces the limit of
            the tokenizer, which is often wrong.
        encoding, calibration: None for a bare checkpoint.
        golden: empty for a bare checkpoint.
    """

    path: Path
    name: str
    version: str
    dtype: str
    max_tokens: int
    pad_id: int | None
    chat_template: str | None = None
    adapter: Path | None = None
    is_self_contained: bool = False
    labels: int = 1
    label_names: tuple[str, ...] = ()
    bidirectional: bool = False
    segments: int = 0
    embeddings: int | None = None
    sets_max_tokens: bool = False
    encoding: EncodingFacts | None = None
    calibration: Calibration | None = None
    golden: tuple[Golden, ...] = ()
    golden_tolerance: float = 0.0
    criteria: Mapping[str, Criterion] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The directory that was named: that of the adapter, where there is one."""
        return self.adapter or self.path

    @property
    def config_folder(self) -> Path:
        """The directory whose config and tokenizer count."""
        return self.folder if self.is_self_contained else self.path


def open_release(
    path: Path,
    *,
    chat_template: Path | None = None,
    max_tokens: int | None = None,
    several_labels: bool = False,
) -> Release:
    """Read and verify a release directory, or derive the facts of a bare checkpoint.

    Args:
        chat_template: replaces that of a bare checkpoint.
        max_tokens: replaces the longest text of a bare checkpoint; a release's can be lowered.
        several_labels: take a checkpoint with a score for each of several labels, too.

    Raises:
        ReleaseError: something in it is missing, changed, unsafe or contradictory.
    """
    if not path.is_dir():
        raise ReleaseError(f"{path}: no such directory; name a release or a checkpoint directory")
    if not (path / MANIFEST).exists():
        bare = open_bare(path, max_tokens=max_tokens)
        _require_labels(bare, several=several_labels)
        return replace(bare, chat_template=read_template(chat_template))
    if chat_template is not None:
        raise ReleaseError(
            f"{path}: a release is scored with its own chat template; drop --chat-template"
        )
    manifest = verify(path)
    assert manifest is not None, "the manifest was there a moment ago"
    if manifest.base:
        raise ReleaseError(
            f"{path}: is an adapter of {manifest.base.name}, and whole weights are needed here"
        )
    return facts_of_release(path, manifest, max_tokens=max_tokens, several_labels=several_labels)


def facts_of_release(
    path: Path, manifest: Manifest, *, max_tokens: int | None = None, several_labels: bool = False
) -> Release:
    """Return the facts of a release whose files are verified, with `path` as that of its weights.

    Raises:
        ReleaseError: its config does not fit its manifest, or it takes fewer tokens.
    """
    longest = manifest.encoding.max_tokens
    if max_tokens is not None and max_tokens > longest:
        raise ReleaseError(f"{path}: takes {longest} tokens at most; lower or drop --max-tokens")
    # The manifest may have copied a tokenizer's limit, which is often none at all.
    checkpoint = _derive(path, max_tokens=None, is_adapter=manifest.base is not None)
    _require_labels(checkpoint, several=several_labels)
    return replace(
        checkpoint,
        name=manifest.name,
        version=manifest.version,
        dtype=manifest.dtype,
        max_tokens=min(longest, checkpoint.max_tokens, max_tokens or longest),
        pad_id=None,
        encoding=manifest.encoding,
        calibration=manifest.calibration,
        golden=read_golden(path / GOLDEN),
        golden_tolerance=manifest.golden_tolerance,
        criteria=manifest.criteria,
        warnings=(),
    )


def verify(path: Path) -> Manifest | None:
    """Verify the files of a checkpoint before any is loaded; return the manifest of a release.

    Raises:
        ReleaseError: as `open_release`.
    """
    if path.resolve().name.endswith(_PARTIAL):
        raise ReleaseError(f"{path}: publishing was cut short here; publish again")
    require_regular_files(path)
    if (path / MANIFEST).exists():
        return read_manifest(path)
    if (path / GOLDEN).exists():
        raise ReleaseError(f"{path / MANIFEST}: missing, publishing was cut short; publish again")
    return None


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a release directory and check every file against it.

    Raises:
        ReleaseError: as `open_release`.
    """
    try:
        manifest = Manifest.model_validate_json(read_bytes(path / MANIFEST))
    except ValidationError as error:
        # Without the input, which may be long or secret.
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise ReleaseError(
            f"{path / MANIFEST}: {where}: {first['msg']}; publish the release again"
        ) from error
    if manifest.seal != seal_of(manifest):
        raise ReleaseError(
            f"{path / MANIFEST}: was changed after it was written; copy the whole release again"
        )
    # A link would lead a loader to files that no hash covers.
    for entry in path.rglob("*"):
        if entry.is_symlink() and not entry.is_file():
            raise ReleaseError(f"{entry}: links to a folder or to nothing; remove it")
    for name in file_names(path):
        require_pickle_free(path / name)
        if name not in manifest.files and not is_note(name):
            raise ReleaseError(f"{path / name}: not in {MANIFEST}; remove it or publish again")
    for name, expected in sorted(manifest.files.items()):
        file = path / name
        if not file.is_file():
            raise ReleaseError(f"{file}: missing; copy the whole release again")
        if sha256(file) != expected:
            raise ReleaseError(f"{file}: its sha256 is not the one in {MANIFEST}; copy it again")
    # Weights that no loader here takes may be taken by another one.
    require_only([path / ADAPTER_WEIGHTS] if manifest.base else weight_files(path), path)
    for index in path.rglob("*.index.json"):
        shards_of(index)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Seal the manifest and write it, which makes the folder a release."""
    sealed = manifest.model_copy(update={"seal": seal_of(manifest)})
    (folder / MANIFEST).write_text(sealed.model_dump_json(indent=1) + "\n")


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """A directory to fill that becomes `target` only when the block ends without an error.

    An unfinished one stays under a dotted name that no reader accepts. An earlier `target` is
    replaced at the very end.

    Raises:
        ReleaseError: the block wrote no manifest.
    """
    draft = target.with_name(f".{target.name}{_PARTIAL}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    yield draft
    if not (draft / MANIFEST).exists():
        raise ReleaseError(f"{draft / MANIFEST}: the manifest was not written")
    shutil.rmtree(target, ignore_errors=True)
    draft.replace(target)


def file_names(path: Path) -> list[str]:
    """Names of all files below `path` except the manifest, relative to it and sorted."""
    names = (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    return sorted(name for name in names if name != MANIFEST)


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_bare(path: Path, *, max_tokens: int | None = None) -> Release:
    """Derive the facts of a checkpoint, which may still lack a score head.

    Raises:
        ReleaseError: it has no config or no safetensors, or it is a release that was changed.
    """
    verify(path)
    return replace(_derive(path, max_tokens=max_tokens), criteria=read_criteria(path))


def read_criteria(path: Path) -> dict[str, Criterion]:
    """The criteria that training wrote beside a checkpoint's weights; empty where it has none.

    Raises:
        ReleaseError: the file cannot be read.
    """
    file = path / CRITERIA
    if not file.exists():
        return {}
    try:
        return TypeAdapter(dict[CriterionName, Criterion]).validate_json(read_bytes(file))
    except ValidationError as error:
        raise ReleaseError(
            f"{file}: is no object of criteria; train the checkpoint again"
        ) from error


def _derive(path: Path, *, max_tokens: int | None, is_adapter: bool = False) -> Release:
    # Imported late: transformers takes seconds, and a folder that is not fit needs none of it.
    from reward_model.release.config import facts_of, read_config

    facts = facts_of(read_config(path))
    if not is_adapter:
        weight_files(path)
    if not is_adapter and (path / ADAPTER_CONFIG).exists():
        raise ReleaseError(
            f"{path / ADAPTER_CONFIG}: transformers would load this adapter on top of the weights; "
            "keep the adapter in a directory of its own and name that"
        )
    warnings = ["bare checkpoint: no golden scores to replay, no calibration, no file hashes"]
    if not (max_tokens or facts.max_tokens):
        warnings.append(
            f"the config does not say how long a text may be: {_USUAL_MAX_TOKENS} tokens are "
            "assumed; set --max-tokens"
        )
    return Release(
        path=path,
        name=path.resolve().name,
        version="unversioned",
        dtype=facts.dtype,
        max_tokens=max_tokens or facts.max_tokens or _USUAL_MAX_TOKENS,
        pad_id=facts.pad_id,
        labels=facts.labels,
        label_names=facts.label_names,
        bidirectional=facts.bidirectional,
        segments=facts.segments,
        embeddings=facts.embeddings,
        sets_max_tokens=max_tokens is not None,
        warnings=tuple(warnings),
    )


def read_golden(file: Path) -> tuple[Golden, ...]:
    """Read golden conversations with their scores, one JSON object a line.

    Raises:
        ReleaseError: the file cannot be read, or holds none.
    """
    try:
        rows = [Golden.model_validate_json(line) for line in read_bytes(file).splitlines()]
    except ValidationError as error:
        raise ReleaseError(f"{file}: cannot be read as golden scores; publish again") from error
    if not rows:
        raise ReleaseError(f"{file}: holds no golden scores; publish again")
    return tuple(rows)


def read_template(file: Path | None) -> str | None:
    """Read the chat template that replaces the tokenizer's own, if a file is named.

    Raises:
        ReleaseError: the file cannot be read.
    """
    if file is None:
        return None
    try:
        return read_bytes(file).decode()
    except UnicodeDecodeError as error:
        raise ReleaseError(f"{file}: is not UTF-8; save it as such") from error


def _require_labels(checkpoint: Release, *, several: bool) -> None:
    config, names = checkpoint.path / "config.json", checkpoint.label_names
    if checkpoint.labels == 0:
        raise ReleaseError(
            f"{checkpoint.path}: is a language model, which has no score head; train a reward "
            "model from it, or name the directory of an adapter that holds one"
        )
    if checkpoint.labels > 1 and not several:
        raise ReleaseError(
            f"{config}: has {checkpoint.labels} labels, and one is needed here; train or save it "
            "with num_labels=1"
        )
    if checkpoint.labels > MAX_LABELS:
        raise ReleaseError(
            f"{config}: has {checkpoint.labels} labels, and {MAX_LABELS} are served at most"
        )
    named = checkpoint.labels == 1 or all(0 < len(name) <= 100 for name in names)
    if not named or len(set(names)) < len(names):
        raise ReleaseError(
            f"{config}: requests name labels as id2label does, and there two are called alike, or "
            "one has no name or one of more than 100 characters; name them apart"
        )
