"""Compares the names and shapes of a checkpoint's weights with those of its model."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from reward_model.release.files import ReleaseError

# Prefixes that wrappers leave before every name: torch.compile, DistributedDataParallel and others.
_EXAMPLE = """
    from safetensors.torch import load_file, save_file
    weights = load_file("model.safetensors")
    save_file({{k.removeprefix("{prefix}"): w for k, w in weights.items()}}, "model.safetensors", \
{{"format": "pt"}})"""

Mismatch = tuple[str, Iterable[int], Iterable[int]]
"""A name, the shape that the weights have, and the shape that the model has."""


def some(names: Iterable[str]) -> str:
    """Name three of the names, and count the others."""
    ordered = sorted(names)
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return ", ".join(ordered[:3]) + more


def require_shapes(path: Path, mismatches: Iterable[Mismatch]) -> None:
    """Refuse weights of other shapes than the config gives the model.

    Raises:
        ReleaseError: there are some; the message names the first.
    """
    found = sorted((name, tuple(saved), tuple(wanted)) for name, saved, wanted in mismatches)
    if not found:
        return
    name, saved, wanted = found[0]
    more = f" (and {len(found) - 1} more weights differ)" if len(found) > 1 else ""
    raise ReleaseError(
        f"{path}: the weights hold {name} with shape {_shape(saved)}, and config.json asks for "
        f"{_shape(wanted)}{more}; {_remedy(name, saved, wanted)}"
    )


def _remedy(name: str, saved: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    module = name.rpartition(".")[0].split(".")[0]
    if module in ("score", "classifier", "v_head", "value_head") and wanted[:1] == (1,):
        return (
            f"its head gives {saved[0]} scores where a reward model gives one, so train it with "
            "num_labels=1"
        )
    if "embed" in name and saved[1:] == wanted[1:]:
        return (
            f"its vocabulary was resized, so set vocab_size to {saved[0]}, or save the checkpoint "
            "again with save_pretrained"
        )
    return "weights and config belong to different models, so copy the whole checkpoint again"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "of a single number"


def require_whole(path: Path, missing: set[str], unexpected: set[str]) -> None:
    """Refuse weights that leave a part of the model random.

    Raises:
        ReleaseError: a weight is missing; the message names three, and the likely reason.
    """
    if not missing:
        return
    if prefix := common_prefix(missing, unexpected):
        raise ReleaseError(
            f"{path}: the names of its weights begin with {prefix!r}, which a wrapper of the "
            "training left there; strip it from each file of weights:"
            f"{_EXAMPLE.format(prefix=prefix)}"
        )
    kept = f" They also hold {some(unexpected)}, which the model has no place for." * bool(
        unexpected
    )
    raise ReleaseError(
        f"{path}: the weights hold no {some(missing)}, which would be random.{kept} Serve a "
        "checkpoint that was trained with its score head, and saved with save_pretrained"
    )


def common_prefix(missing: set[str], unexpected: set[str]) -> str:
    """Return what precedes the missing names among the unexpected ones; empty if nothing does."""
    prefixes = Counter(
        name.removesuffix(end)
        for name in unexpected
        for end in (name.partition(".")[2], name.partition(".")[2].partition(".")[2])
        if end in missing
    )
    ((prefix, count),) = prefixes.most_common(1) or [("", 0)]
    # A weight or two may lack it: an adapter's base, for example, has no head at all.
    wrapped = count > 1 and count >= len(missing) - 2
    return prefix if wrapped else ""


def dropped_weights(unexpected: Iterable[str]) -> str | None:
    """Return a warning of weights that the model has no place for, and that change no score here.

    A language model's own head is no part of a reward model.
    """
    dropped = {name for name in unexpected if not name.startswith(("lm_head.", "cls.", "mtp."))}
    if not dropped:
        return None
    return (
        f"the weights hold {some(dropped)}, which the model of config.json has no place for: they "
        "are left out, as transformers leaves them out"
    )
