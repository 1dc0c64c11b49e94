"""Finds a model: a local directory, or else a download from the Hugging Face hub."""

import re
from pathlib import Path

from reward_model.release.release import ReleaseError

_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
# Files that a checkpoint needs; pickles and remote code are not even downloaded.
FILES = ["*.json", "*.safetensors", "*.jinja", "*.jsonl", "*.txt", "*.model"]
# The same weights once more, in forms of other loaders.
OTHER_FORMS = ["consolidated*", "original/*", "onnx/*", "openvino/*", "coreml/*", "metal/*"]


def locate(model: str) -> Path:
    """Return the directory of a model, which is named by its path or by its id on the hub.

    Raises:
        ReleaseError: it is neither, or the hub does not give it.
    """
    path = Path(model).expanduser()
    return path if path.exists() else fetch(model)


def is_hub_id(name: str) -> bool:
    """Tell whether a name has the form `owner/name`."""
    return _ID.fullmatch(name) is not None


def fetch(hub_id: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """Download a model, or find it in the cache.

    Args:
        weights: otherwise only what describes the model and its tokenizer.

    Raises:
        ReleaseError: `hub_id` is not a hub id, or the hub does not give it.
    """
    if not is_hub_id(hub_id):
        raise ReleaseError(f"{hub_id}: no such directory; name one, or a hub id like owner/name")
    # Imported late: a local directory, the usual case, needs no hub.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        ignored = OTHER_FORMS if weights else [*OTHER_FORMS, "*.safetensors"]
        return Path(
            snapshot_download(
                hub_id, revision=revision, allow_patterns=FILES, ignore_patterns=ignored
            )
        )
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ReleaseError(
            f"{hub_id}: no such directory, and the hub does not give it ({type(error).__name__}); "
            "check the name and the network, or download it and name the directory"
        ) from error
