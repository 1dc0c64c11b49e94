"""Finds the base of a release that is an adapter, and tells it from every other one by a digest."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from reward_model.release.files import ReleaseError, weight_files
from reward_model.release.hub import fetch, is_hub_id
from reward_model.release.manifest import AdapterBase

DEFAULT_BASES = Path(__file__).resolve().parents[2] / ".models"
"""Folder of the checkout with the bases that were fetched for it, each under its name."""


def digest(folder: Path) -> str:
    """Return the SHA-256 of all tensors of a checkpoint: names, types, shapes and bytes, by name.

    It is the same for one file and for shards, and for headers that another version of a library
    writes.

    Raises:
        ReleaseError: the folder holds no safetensors, or one that cannot be read.
    """
    # Imported late: a release with whole weights needs none of it.
    import torch
    from safetensors import SafetensorError, safe_open

    found = hashlib.sha256()
    try:
        names: dict[str, Path] = {}
        for file in weight_files(folder):
            with safe_open(file, framework="numpy") as header:
                names |= dict.fromkeys(header.keys(), file)
        readers = {file: safe_open(file, framework="pt") for file in names.values()}
        for name in sorted(names):
            tensor: torch.Tensor = readers[names[name]].get_tensor(name)  # type: ignore[no-untyped-call]
            found.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    except (SafetensorError, OSError) as error:
        raise ReleaseError(f"{folder}: its weights cannot be read; copy the base again") from error
    return found.hexdigest()


def find_base(release: Path, base: AdapterBase, named: str, folders: Iterable[Path]) -> Path:
    """Return the directory of the base that a release names: here, or downloaded from the hub.

    Looked for are, in this order: what the adapter's config names, as seen from the release; a
    folder of the base's name beside the release, and in each of `folders`; the hub.

    Args:
        release: directory of the adapter.
        named: `base_model_name_or_path` of its config.

    Raises:
        ReleaseError: it is in none of these places, or what is there has other weights.
    """
    beside = release / Path(named).expanduser()
    candidates = [beside, release.resolve().parent / base.name, *(f / base.name for f in folders)]
    others = []
    for folder in dict.fromkeys(candidates):
        # A folder without weights may be a download that has only begun.
        if not (folder / "config.json").is_file() or folder.resolve() == release.resolve():
            continue
        if (found := digest(folder)) == base.weights_sha256:
            return folder
        others.append(f"{folder} has other weights (their digest is {found[:12]}...)")
    hub_id, _, revision = base.source.partition("@")
    if is_hub_id(hub_id):
        folder = fetch(hub_id, revision or None)
        if (found := digest(folder)) == base.weights_sha256:
            return folder
        others.append(f"{base.source} of the hub has other weights (digest {found[:12]}...)")
    seen = f" {'; '.join(others)}." if others else ""
    raise ReleaseError(
        f"{release}: is an adapter, and its base {base.name} (digest "
        f"{base.weights_sha256[:12]}...) is not here.{seen} Put the base into {candidates[-1]}, or "
        f"name the folder that holds {base.name} with --bases. Where to get it: {base.source}"
    )
