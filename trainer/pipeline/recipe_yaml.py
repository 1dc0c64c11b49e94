"""A recipe as a YAML file: the recipe that it extends, and the fields that it changes.

extends: finetune          # a recipe's name, or a .py or .yaml file beside this one
finetune:
  start: my/base
  lora: {r: 32}            # only the fields that are named change
evaluate: null             # leaves a stage out
evaluate_mine:             # adds a stage, whose name begins with its kind
  kind: evaluate
stages: [preferences, finetune]   # keeps these, in this order
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from trainer.pipeline.field_values import (
    PlainScalar,
    ValueMistake,
    changed_config,
    plain,
    typed,
    unknown,
)
from trainer.pipeline.recipe import Recipe, Stage
from trainer.pipeline.stages import STAGES, kind_of
from trainer.pipeline.yaml_reader import YamlFile

KEYS = ("extends", "stages")
"""What a file may have beside stages."""

StageKinds = Callable[[str], tuple[type[Any], Callable[[Any], Stage[Any]]]]
"""For a kind of stage: the type of its config, and what makes a stage of one."""


def extended_name(source: YamlFile) -> str:
    """The name or the file of the recipe that a file extends.

    Raises:
        StageError: the file is no recipe.
    """
    if not isinstance(source.data, dict):
        raise source.mistake((), "a recipe is a mapping: `extends: NAME`, then `STAGE:` and fields")
    name = source.data.get("extends")
    if plain(name) is None:
        raise source.mistake((), "`extends: NAME` is missing, the recipe that this one changes")
    text = name.text if isinstance(name, PlainScalar) else name
    if not isinstance(text, str) or not text:
        raise source.mistake(("extends",), "write the name of one recipe here, or a file's")
    return text


def extended(source: YamlFile, base: Recipe, kinds: StageKinds) -> Recipe:
    """The recipe that a file describes.

    Raises:
        StageError: a stage or a field is unknown, or a value is not of its field's type; the
            message has file and line.
    """
    assert isinstance(source.data, dict)
    stages = dict(base.stages)
    for name, data in source.data.items():
        if name in KEYS:
            continue
        if name in stages and isinstance(data, PlainScalar) and data.natural is None:
            if not data.text:
                # All of its lines may have been commented out, which is no wish to leave it out.
                message = f"{name} has no fields: write `{{}}` to keep it, `null` to leave it out"
                raise source.mistake((name,), message)
            del stages[name]
            continue
        if not isinstance(data, dict):
            raise source.mistake((name,), _about(name, base, "write a mapping of its fields here"))
        try:
            stages[name] = _stage(name, data, base, kinds)
        except ValueMistake as mistake:
            raise source.mistake((name, *mistake.place), str(mistake)) from mistake
    if "stages" in source.data:
        stages = _kept(source, stages)
    if not stages:
        raise source.mistake((), "no stage is left")
    return replace(base, name=source.file.name, stages=stages)


def _about(name: str, base: Recipe, otherwise: str) -> str:
    if name in base.stages:
        return otherwise
    return unknown("stage", name, [*base.stages, *KEYS], f"{base.name} has")


def _stage(name: str, data: dict[str, object], base: Recipe, kinds: StageKinds) -> Stage[Any]:
    known = base.stages.get(name)
    fields = {key: value for key, value in data.items() if key != "kind"}
    if "kind" not in data:
        if known is None:
            message = _about(name, base, "")
            raise ValueMistake((), f"{message}. A new stage needs its kind, as in `kind: evaluate`")
        return replace(known, config=changed_config(known.config, fields))
    kind = data["kind"].text if isinstance(data["kind"], PlainScalar) else str(data["kind"])
    if kind not in STAGES:
        raise ValueMistake(("kind",), unknown("kind", kind, STAGES, "the kinds are"))
    if kind_of(name) != kind:
        # The command line knows a stage's options by this beginning.
        raise ValueMistake(("kind",), f"name the stage {kind} or {kind}_ with something behind it")
    if known is not None:
        return replace(known, config=changed_config(known.config, fields))
    config, make = kinds(kind)
    return make(typed(config, fields))


def _kept(source: YamlFile, stages: dict[str, Stage[Any]]) -> dict[str, Stage[Any]]:
    assert isinstance(source.data, dict)
    try:
        names: tuple[str, ...] = typed(tuple[str, ...], source.data["stages"])
    except ValueMistake as mistake:
        raise source.mistake(("stages", *mistake.place), str(mistake)) from mistake
    for index, name in enumerate(names):
        if name not in stages:
            message = unknown("stage", name, stages, "the stages are")
            raise source.mistake(("stages", index), message)
        if name in names[:index]:
            raise source.mistake(("stages", index), f"{name} is here a second time")
    return {name: stages[name] for name in names}
