"""What is served: a release, how its conversations become ids, and the engine that scores them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reward_model.chat import Conversation
from reward_model.encoding import Encoder
from reward_model.packing import Sequence
from reward_model.release import Release, ReleaseError, open_release
from service.engines import Engine, open_engine
from service.settings import Settings

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "*.jsonl", "*.txt", "*.model"]
"""What a checkpoint needs; pickles and remote code are not even downloaded."""


@dataclass(frozen=True)
class Model:
    """`encode` is thread-safe and raises `TooLong` or `Unencodable`.

    A conversation of more than `max_characters` is too long whatever they are, so that megabytes
    need not be encoded to find that out.
    """

    name: str
    release: Release
    encode: Callable[[Conversation], Sequence]
    max_characters: int
    engine: Engine


ModelOpener = Callable[[Settings], Model]


def open_model(settings: Settings) -> Model:
    """Read, verify and load what the settings name. Slow; call it on the engine's thread.

    Raises:
        ReleaseError: it must not be served; the message names the file and the remedy.
        EngineUnavailable: the settings ask for a device or an engine that is not there.
    """
    release = open_release(locate(settings.model), chat_template=settings.chat_template)
    # Imported here, after the release was found fit, because torch and transformers take seconds.
    from reward_model.checkpoint import load_tokenizer

    tokenizer = load_tokenizer(release)
    engine = open_engine(release, tokenizer, settings)
    encoder = Encoder(tokenizer, max_tokens=engine.max_tokens, pad_id=release.pad_id)
    return Model(
        name=settings.model_name or _name(settings, release),
        release=release,
        encode=encoder.encode,
        max_characters=engine.max_tokens * max(map(len, tokenizer.get_vocab())),
        engine=engine,
    )


def locate(model: str) -> Path:
    """The directory of a model named by its path, or else by its id on the Hugging Face hub.

    Raises:
        ReleaseError: it is neither.
    """
    path = Path(model).expanduser()
    if path.exists():
        return path
    if not _HUB_ID.fullmatch(model):
        raise ReleaseError(f"{model}: no such directory; name one, or a hub id like owner/name")
    return _download(model)


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=_HUB_FILES))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ReleaseError(
            f"{hub_id}: no such directory, and the hub does not give it ({type(error).__name__}); "
            "check the name and the network, or download it and name the directory"
        ) from error


def _name(settings: Settings, release: Release) -> str:
    """A downloaded checkpoint lies under its commit's hash, which is no name for it."""
    return release.name if Path(settings.model).expanduser().exists() else settings.model
