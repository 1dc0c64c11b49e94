"""LoRA adapter directories (PEFT): finds the base, and gives the facts of both together.

An adapter is served as the plain checkpoint that merging it gives; `lora_merge` does that.
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


class AdapterConfig(BaseModel):
    """The entries of `adapter_config.json` that are needed here; PEFT reads the others."""

    peft_type: Literal["LORA"]
    base_model_name_or_path: Annotated[str, Field(min_length=1)]
    revision: str | None = None


def open_checkpoint(path: Path, *, chat_template: Path | None = None) -> Release:
    """Like `open_release`; also opens an adapter directory, with the facts of its base.

    Raises:
        ReleaseError: as `open_release`, for the adapter or for its base.
    """
    if not (path / _CONFIG).exists():
        return open_release(path, chat_template=chat_template)
    config = read_config(path / _CONFIG)
    if not (path / WEIGHTS).is_file():
        raise ReleaseError(
            f"{path / WEIGHTS}: missing; pickled weights are never loaded, so save the adapter "
            "again with save_pretrained of a current peft"
        )
    # A relative path counts from the adapter, so that both can be moved together.
    name = config.base_model_name_or_path
    base = path / Path(name).expanduser()
    if not base.is_dir():
        try:
            base = fetch(name, config.revision)
        except ReleaseError as error:
            raise ReleaseError(f"{path / _CONFIG}: its base is not available: {error}") from error
    if (base / _CONFIG).exists():
        raise ReleaseError(f"{base}: the base is an adapter too; merge it into its own base first")
    return replace(
        open_bare(base),
        name=path.resolve().name,
        adapter=path,
        chat_template=read_template(chat_template),
        warnings=("LoRA adapter, merged: no golden scores, no calibration, no file hashes",),
    )


def read_config(file: Path) -> AdapterConfig:
    """Read `adapter_config.json`.

    Raises:
        ReleaseError: it is not JSON, not of a LoRA adapter, or does not name a base.
    """
    try:
        return AdapterConfig.model_validate(json.loads(file.read_bytes()))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ReleaseError(
            f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}; only LoRA adapters that "
            "name their base are served, so merge another kind into its base and serve that"
        ) from error
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{file}: cannot be read as JSON; copy the adapter again") from error
