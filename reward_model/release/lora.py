"""LoRA adapter directories (PEFT): finds the base, and gives the facts of both together.

An adapter is served as the plain checkpoint that merging it gives; `lora_merge` does that. With a
`release.json` it is a release, whose base is one whose weights have the digest that is named there.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StrictInt, ValidationError
from safetensors import SafetensorError, safe_open

from reward_model.release.base import DEFAULT_BASES, find_base
from reward_model.release.files import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    read_bytes,
    require_regular_files,
)
from reward_model.release.hub import fetch
from reward_model.release.release import (
    MANIFEST,
    Release,
    ReleaseError,
    facts_of_release,
    open_bare,
    open_release,
    read_manifest,
    read_template,
    verify,
)

_MAX_RANK = 65_536


def is_plain(name: str) -> bool:
    """Tell whether a name of modules has no repetition, choice or group of a regular expression.

    PEFT uses names as regular expressions. An expression can take for ever, and nothing interrupts
    it; letters, digits, `_`, `-`, dots and a `^` in front cannot.
    """
    return re.fullmatch(r"\^?[A-Za-z0-9_.-]{1,512}", name) is not None


def _require_plain(name: str) -> str:
    if not is_plain(name):
        raise ValueError("is a pattern, and only plain names of modules are taken")
    return name


_Name = Annotated[str, AfterValidator(_require_plain)]
_Names = _Name | list[_Name] | None
_Rank = Annotated[int, Field(ge=1, le=_MAX_RANK)]


class AdapterConfig(BaseModel):
    """The entries of `adapter_config.json` that are needed or checked here; PEFT reads them all."""

    peft_type: Literal["LORA"]
    base_model_name_or_path: Annotated[str, Field(min_length=1)]
    revision: str | None = None
    r: _Rank = 8
    target_modules: _Names = None
    exclude_modules: _Names = None
    layers_pattern: _Names = None
    target_parameters: _Names = None
    modules_to_save: _Names = None
    layers_to_transform: list[StrictInt] | StrictInt | None = None
    rank_pattern: dict[_Name, _Rank] | None = None
    alpha_pattern: dict[_Name, Annotated[float, Field(allow_inf_nan=False)]] | None = None
    trainable_token_indices: dict[_Name, list[StrictInt]] | list[StrictInt] | None = None
    # These import a module by its name, or make a forward that no merged weights can give.
    megatron_config: None = None
    arrow_config: None = None
    use_bdlora: None = None
    alora_invocation_tokens: None = None


def open_checkpoint(
    path: Path,
    *,
    chat_template: Path | None = None,
    max_tokens: int | None = None,
    several_labels: bool = False,
    bases: Iterable[Path] = (DEFAULT_BASES,),
) -> Release:
    """Like `open_release`; also opens an adapter directory, with the weights of its base.

    Args:
        bases: folders in which the base of a release is looked for under its name.

    Raises:
        ReleaseError: as `open_release`, for the adapter or for its base.
    """
    if not (path / ADAPTER_CONFIG).exists():
        return open_release(
            path,
            chat_template=chat_template,
            max_tokens=max_tokens,
            several_labels=several_labels,
        )
    if (path / MANIFEST).exists():
        return _open_released(path, chat_template, max_tokens, bases)
    require_regular_files(path)
    config = _config_beside_weights(path)
    # A relative path counts from the adapter, so that both can be moved together.
    name = config.base_model_name_or_path
    base = path / Path(name).expanduser()
    if not base.is_dir():
        try:
            base = fetch(name, config.revision)
        except ReleaseError as error:
            raise ReleaseError(
                f"{path / ADAPTER_CONFIG}: its base is not available: {error}"
            ) from error
    if (base / ADAPTER_CONFIG).exists():
        raise ReleaseError(f"{base}: the base is an adapter too; merge it into its own base first")
    opened = open_bare(base, max_tokens=max_tokens)
    return replace(
        opened,
        embeddings=_rows(path / ADAPTER_WEIGHTS) or opened.embeddings,
        name=path.resolve().name,
        # Whatever the base has: an adapter's own head has one score.
        labels=1,
        adapter=path,
        chat_template=read_template(chat_template),
        warnings=(
            "LoRA adapter, merged: no golden scores, no calibration, no file hashes",
            *opened.warnings[1:],
        ),
    )


def open_without_base(path: Path, *, several_labels: bool = False) -> Release:
    """Verify a release whose weights are not to be loaded: the base of an adapter is not needed.

    Args:
        several_labels: as for `open_release`.

    Raises:
        ReleaseError: as `open_release`.
    """
    if (path / ADAPTER_CONFIG).is_file() and (path / MANIFEST).is_file():
        manifest = read_manifest(path)
        if manifest.base:
            _config_beside_weights(path)
            return facts_of_release(path, manifest, several_labels=several_labels)
    return open_release(path, several_labels=several_labels)


def _open_released(
    path: Path, chat_template: Path | None, max_tokens: int | None, bases: Iterable[Path]
) -> Release:
    """Open a release, of which the manifest decides whether it is an adapter or whole."""
    manifest = verify(path)
    if manifest is None or manifest.base is None:
        # It must not become an adapter, which nothing verifies.
        return open_release(path, chat_template=chat_template, max_tokens=max_tokens)
    if chat_template is not None:
        raise ReleaseError(
            f"{path}: a release is scored with its own chat template; drop --chat-template"
        )
    config = _config_beside_weights(path)
    opened = facts_of_release(path, manifest, max_tokens=max_tokens)
    base = find_base(path, manifest.base, config.base_model_name_or_path, bases)
    return replace(opened, path=base, adapter=path, is_self_contained=True)


def _config_beside_weights(path: Path) -> AdapterConfig:
    """Read the config of an adapter whose weights are there.

    Raises:
        ReleaseError: either is missing, or the config cannot be read.
    """
    config = read_config(path / ADAPTER_CONFIG)
    if not (path / ADAPTER_WEIGHTS).is_file():
        raise ReleaseError(
            f"{path / ADAPTER_WEIGHTS}: missing; pickled weights are never loaded, so save the "
            "adapter again with save_pretrained of a current peft"
        )
    return config


def read_config(file: Path) -> AdapterConfig:
    """Read `adapter_config.json`.

    Raises:
        ReleaseError: it is not JSON, not of a LoRA adapter, or does not name a base.
    """
    try:
        return AdapterConfig.model_validate(json.loads(read_bytes(file)))
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        # An entry that may be a name or a list has an error for either; that of the names counts.
        first = next((fault for fault in faults if "plain names" in fault["msg"]), faults[0])
        field = str(first["loc"][0]) if first["loc"] else "the whole file"
        remedy = (
            "only LoRA adapters that name their base are served, so merge another kind into its "
            "base and serve that"
        )
        if "plain names" in first["msg"]:
            remedy = f"list the modules by their names{_modules_of_weights(file, field)}"
        raise ReleaseError(f"{file}: {field}: {first['msg']}; {remedy}") from error
    except ValueError as error:
        raise ReleaseError(f"{file}: cannot be read as JSON; copy the adapter again") from error


def _modules_of_weights(config: Path, field: str) -> str:
    """Return the advice for `target_modules`, by the names in the file of weights beside it."""
    if field != "target_modules" or not (config.parent / ADAPTER_WEIGHTS).is_file():
        return ""
    try:
        with safe_open(config.parent / ADAPTER_WEIGHTS, framework="numpy") as weights:
            names = list(weights.keys())
    except SafetensorError:
        return ""
    modules = sorted(
        {name.partition(".lora_")[0].split(".")[-1] for name in names if "lora_" in name}
    )
    return f': "target_modules": {json.dumps(modules)}'


def _rows(weights: Path) -> int | None:
    """The rows of the embedding that an adapter holds as a whole; None if it holds none."""
    try:
        with safe_open(weights, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - it is no dictionary
                if name.endswith(("embed_tokens.weight", "word_embeddings.weight", "wte.weight")):
                    rows: int = file.get_slice(name).get_shape()[0]
                    return rows
    except SafetensorError:
        # Merging says that the file cannot be read.
        return None
    return None
