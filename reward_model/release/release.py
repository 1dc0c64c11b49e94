"""Reads, verifies and writes release directories.

A release is a plain Hugging Face sequence-classification checkpoint plus `release.json`,
`golden.jsonl` and `report.json`. A directory without `release.json` is opened as a bare checkpoint:
its facts are derived, nothing is verified, and a warning says so.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue, ValidationError

from reward_model.release.calibration import Calibration
from reward_model.release.manifest import EncodingFacts, Golden, Manifest, seal_of

MANIFEST = "release.json"
GOLDEN = "golden.jsonl"

# A directory has this suffix until its publishing is finished.
_PARTIAL = ".partial"

# Files that may run code when they are loaded: never served, listed in the manifest or not.
_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"})

# Files that a loader might read although the manifest does not list them.
_LOADABLE = frozenset({".safetensors", ".json", ".jinja", ".jsonl", ".model", ".txt", ".py"})


class ReleaseError(Exception):
    """A directory that must not be served; the message names the file and the remedy."""


@dataclass(frozen=True)
class Release:
    """The facts about a checkpoint that are needed to serve it.

    Attributes:
        dtype: the backbone's, unless a setting chooses another.
        pad_id: the score is read at the last token that differs from it; None reads the last token.
        chat_template: replaces the tokenizer's own; None keeps that.
        adapter: directory of a LoRA adapter to merge into the weights at `path`.
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
    encoding: EncodingFacts | None = None
    calibration: Calibration | None = None
    golden: tuple[Golden, ...] = ()
    golden_tolerance: float = 0.0
    warnings: tuple[str, ...] = ()


def open_release(path: Path, *, chat_template: Path | None = None) -> Release:
    """Read and verify a release directory, or derive the facts of a bare checkpoint.

    Raises:
        ReleaseError: something in it is missing, changed, unsafe or contradictory.
    """
    if not path.is_dir():
        raise ReleaseError(f"{path}: no such directory; name a release or a checkpoint directory")
    if path.resolve().name.endswith(_PARTIAL):
        raise ReleaseError(f"{path}: publishing was cut short here; publish again")
    if (path / MANIFEST).exists():
        if chat_template is not None:
            raise ReleaseError(
                f"{path}: a release is scored with its own chat template; drop --chat-template"
            )
        manifest = read_manifest(path)
        _require_one_label(path, _read_config(path))
        return Release(
            path=path,
            name=manifest.name,
            version=manifest.version,
            dtype=manifest.dtype,
            max_tokens=manifest.encoding.max_tokens,
            pad_id=None,
            encoding=manifest.encoding,
            calibration=manifest.calibration,
            golden=read_golden(path / GOLDEN),
            golden_tolerance=manifest.golden_tolerance,
        )
    if (path / GOLDEN).exists():
        raise ReleaseError(f"{path / MANIFEST}: missing, publishing was cut short; publish again")
    _require_one_label(path, _read_config(path))
    return replace(open_bare(path), chat_template=read_template(chat_template))


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a release directory and check every file against it.

    Raises:
        ReleaseError: as `open_release`.
    """
    try:
        manifest = Manifest.model_validate_json(_read(path / MANIFEST))
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
    # Other files that the manifest does not list are harmless notes.
    for name in file_names(path):
        if Path(name).suffix in _PICKLES:
            raise ReleaseError(f"{path / name}: pickled files are never served; remove it")
        if name not in manifest.files and Path(name).suffix in _LOADABLE:
            raise ReleaseError(f"{path / name}: not in {MANIFEST}; remove it or publish again")
    for name, expected in sorted(manifest.files.items()):
        file = path / name
        if not file.is_file():
            raise ReleaseError(f"{file}: missing; copy the whole release again")
        if sha256(file) != expected:
            raise ReleaseError(f"{file}: its sha256 is not the one in {MANIFEST}; copy it again")
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


def open_bare(path: Path) -> Release:
    """Derive the facts of a checkpoint, which may still lack a score head.

    Raises:
        ReleaseError: it has no config or no safetensors.
    """
    config = _read_config(path)
    if not list(path.glob("*.safetensors")):
        raise ReleaseError(
            f"{path}: holds no *.safetensors; pickled weights are never loaded, so save the "
            "checkpoint again with save_pretrained of a current transformers"
        )
    # Multimodal checkpoints keep the language model's entries apart.
    nested = config.get("text_config")
    text_config = nested if isinstance(nested, dict) else config
    # transformers 4 called the entry `torch_dtype`.
    stored = config.get("dtype") or config.get("torch_dtype")
    dtype = stored if stored in ("float16", "bfloat16") else "float32"
    return Release(
        path=path,
        name=path.resolve().name,
        version="unversioned",
        dtype=dtype,
        max_tokens=_integer(text_config, "max_position_embeddings", "n_positions") or 512,
        pad_id=_integer(text_config, "pad_token_id"),
        warnings=("bare checkpoint: no golden scores to replay, no calibration, no file hashes",),
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{file}: cannot be read ({type(error).__name__})") from error


def read_golden(file: Path) -> tuple[Golden, ...]:
    """Read golden conversations with their scores, one JSON object a line.

    Raises:
        ReleaseError: the file cannot be read, or holds none.
    """
    try:
        rows = [Golden.model_validate_json(line) for line in _read(file).splitlines()]
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
        return _read(file).decode()
    except UnicodeDecodeError as error:
        raise ReleaseError(f"{file}: is not UTF-8; save it as such") from error


def _read_config(path: Path) -> dict[str, JsonValue]:
    file = path / "config.json"
    try:
        config = json.loads(file.read_bytes())
    except OSError as error:
        raise ReleaseError(f"{file}: missing; this is no Hugging Face checkpoint") from error
    except ValueError as error:
        raise ReleaseError(f"{file}: is not JSON; copy the checkpoint again") from error
    if not isinstance(config, dict):
        raise ReleaseError(f"{file}: is not a JSON object; copy the checkpoint again")
    return config


def _require_one_label(path: Path, config: dict[str, JsonValue]) -> None:
    # transformers writes the label map only when there are not two labels, its default.
    names = config.get("id2label")
    labels = config.get("num_labels") or (len(names) if isinstance(names, dict) else 2)
    if labels != 1:
        raise ReleaseError(
            f"{path / 'config.json'}: has {labels} labels, a reward model has one; "
            "train or save it with num_labels=1"
        )


def _integer(config: dict[str, JsonValue], *names: str) -> int | None:
    """The first of these entries that is a number."""
    return next((value for name in names if isinstance(value := config.get(name), int)), None)
