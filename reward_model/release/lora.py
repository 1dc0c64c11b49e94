"""LoRA adapter directories (PEFT): which base they go onto, and what to know of the two together.

An adapter is served as the plain checkpoint that merging it gives; `merging.py` does that.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from reward_model.release.hub import fetch
from reward_model.release.release import (
    Release,
    ReleaseError,
    open_bare,
    open_release,
    read_template,
)

_CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


class _AdapterConfig(BaseModel):
    """What matters here of `adapter_config.json`; PEFT reads the rest."""

    peft_type: Literal["LORA"]
    base_model_name_or_path: Annotated[str, Field(min_length=1)]
    revision: str | None = None


def open_checkpoint(path: Path, *, chat_template: Path | None = None) -> Release:
    """As `open_release`, and for an adapter directory the facts of its base with it on.

    Raises:
        ReleaseError: as `open_release`, of the adapter or of its base.
    """
    if not (path / _CONFIG).exists():
        return open_release(path, chat_template=chat_template)
    config = _read(path / _CONFIG)
    if not (path / WEIGHTS).is_file():
        raise ReleaseError(
            f"{path / WEIGHTS}: missing; pickled weights are never loaded, so save the adapter "
            "again with save_pretrained of a current peft"
        )
    base = _find_base(path, config)
    if (base / _CONFIG).exists():
        raise ReleaseError(f"{base}: the base is an adapter too; merge it into its own base first")
    return replace(
        open_bare(base),
        name=path.resolve().name,
        adapter=path,
        chat_template=read_template(chat_template),
        warnings=("LoRA adapter, merged: no golden scores, no calibration, no file hashes",),
    )


def _read(file: Path) -> _AdapterConfig:
    try:
        return _AdapterConfig.model_validate(json.loads(file.read_bytes()))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ReleaseError(
            f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}; only LoRA adapters that "
            "name their base are served, so merge another kind into its base and serve that"
        ) from error
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{file}: cannot be read as JSON; copy the adapter again") from error


def _find_base(path: Path, config: _AdapterConfig) -> Path:
    """A directory, seen from the adapter's own, or else a hub id."""
    name = config.base_model_name_or_path
    base = path / Path(name).expanduser()
    if base.is_dir():
        return base
    try:
        return fetch(name, config.revision)
    except ReleaseError as error:
        raise ReleaseError(f"{path / _CONFIG}: its base cannot be had: {error}") from error
