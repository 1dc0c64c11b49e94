"""Which files of a checkpoint may be read: regular ones, and weights as safetensors of its folder.

Nothing here opens a file before `stat` says that it is one: a FIFO or a device would never end.
"""

import json
import re
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

# Indexes of formats that nothing here reads; they often lie beside safetensors.
_FOREIGN_INDEXES = frozenset(
    {
        "pytorch_model.bin.index.json",
        "tf_model.h5.index.json",
        "flax_model.msgpack.index.json",
    }
)

# Files that may run code when they are loaded: never served, listed in a manifest or not.
_PICKLES = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".distcp", ".h5"}
)

# transformers prefers parts of a distributed checkpoint to `model.safetensors`.
_DISTRIBUTED = re.compile(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors")

# Notes beside a model, which no loader reads. Everything else of a release has to be listed.
_NOTE_NAMES = frozenset({"readme", "license", "licence", "notice", "copying", "changelog"})
_NOTE_SUFFIXES = frozenset({".md", ".rst", ".png", ".svg", ".jpg", ".jpeg", ".gif", ".pdf"})
_NOTE_FILES = frozenset({".gitattributes", ".gitignore", ".ds_store"})
# Folders that downloading with `hf` or `git` leaves behind.
_NOTE_FOLDERS = frozenset({".cache", ".git"})


class ReleaseError(Exception):
    """A directory that must not be served; the message names the file and the remedy."""


def read_bytes(file: Path) -> bytes:
    """Read a file, if it is a regular one.

    Raises:
        ReleaseError: it is missing, no regular file, or cannot be read.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ReleaseError(f"{file}: is no regular file; put the file itself there")
        return file.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{file}: cannot be read ({type(error).__name__})") from error


def require_regular_files(folder: Path) -> None:
    """Refuse what is neither a file nor a folder among the entries that a loader may open.

    Raises:
        ReleaseError: an entry is a FIFO, a device or a socket, or a folder with a file's name.
    """
    for entry in (*folder.iterdir(), *folder.glob("additional_chat_templates/*")):
        try:
            mode = entry.stat().st_mode
        except OSError:
            # A link to nothing, or a file that may not be read: whoever needs it says so.
            continue
        if stat.S_ISDIR(mode):
            if entry.suffix in {".json", ".safetensors", ".jinja", ".jsonl", ".model"}:
                raise ReleaseError(f"{entry}: is a folder with the name of a file; remove it")
        elif not stat.S_ISREG(mode):
            raise ReleaseError(
                f"{entry}: is no regular file but a pipe, a device or a socket; put the file "
                "itself there, or remove it"
            )


def require_pickle_free(file: Path) -> None:
    """Refuse a file that may run code when it is loaded.

    Raises:
        ReleaseError: its suffix, in letters of any case, is that of a pickle.
    """
    if file.suffix.lower() in _PICKLES:
        raise ReleaseError(f"{file}: pickled files are never served; remove it")


def is_note(name: str) -> bool:
    """Tell whether a file of a release, named relative to it, is a note that no loader reads."""
    path = PurePosixPath(name.lower())
    return (
        path.parts[0] in _NOTE_FOLDERS
        or path.name in _NOTE_FILES
        or path.suffix in _NOTE_SUFFIXES
        or (path.stem in _NOTE_NAMES and path.suffix in ("", ".txt"))
    )


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors that transformers loads from a folder, which are all inside it.

    Raises:
        ReleaseError: there are none, one is missing, or an index names anything else.
    """
    for entry in folder.iterdir():
        if _DISTRIBUTED.fullmatch(entry.name):
            raise ReleaseError(
                f"{entry}: is a part of a distributed checkpoint; save the model whole, with "
                "save_pretrained"
            )
        if entry.name.lower().endswith(".index.json") and entry.name not in _FOREIGN_INDEXES:
            shards_of(entry)
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        return shards_of(folder / INDEX)
    raise ReleaseError(
        f"{folder}: holds neither {WEIGHTS} nor {INDEX}; pickled weights are never loaded, so save "
        "the checkpoint again with save_pretrained of a current transformers"
    )


def shards_of(index: Path) -> list[Path]:
    """Return the files that an index of weights names: safetensors in the index's own folder.

    Raises:
        ReleaseError: it is no index, or names something else.
    """
    try:
        names = sorted(set(json.loads(read_bytes(index))["weight_map"].values()))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ReleaseError(f"{index}: is no index of weights; copy the checkpoint again") from error
    if not names:
        raise ReleaseError(f"{index}: names no weights; copy the checkpoint again")
    for name in names:
        if not isinstance(name, str) or name != Path(name).name or "\\" in name:
            raise ReleaseError(
                f"{index}: names weights outside of its folder; save the checkpoint again with "
                "save_pretrained"
            )
        if not name.endswith(".safetensors"):
            raise ReleaseError(
                f"{index}: names {name!r}, and only *.safetensors are ever loaded; save the "
                "checkpoint again with save_pretrained of a current transformers"
            )
        file = index.parent / name
        if not file.is_file():
            raise ReleaseError(f"{file}: missing, though {index.name} names it; copy it again")
        if _leads_out(file):
            raise ReleaseError(f"{file}: links to a file outside of its folder; copy that file")
    return [index.parent / name for name in names]


def require_only(weights: Iterable[Path], folder: Path) -> None:
    """Refuse a folder with safetensors that are not among `weights`: another loader may take them.

    Raises:
        ReleaseError: there is one.
    """
    known = set(weights)
    for file in sorted(folder.glob("*.safetensors")):
        if file not in known:
            raise ReleaseError(
                f"{file}: holds weights that are no part of the model; move it elsewhere"
            )


def _leads_out(file: Path) -> bool:
    """Whether a file links out of its folder, other than to the blobs of Hugging Face's cache."""
    folder, target = file.parent.resolve(), file.resolve()
    # The cache keeps `<model>/snapshots/<commit>/<name>` as a link to `<model>/blobs/<hash>`.
    cached = folder.parent.name == "snapshots" and target.parent == folder.parents[1] / "blobs"
    return not target.is_relative_to(folder) and not cached
