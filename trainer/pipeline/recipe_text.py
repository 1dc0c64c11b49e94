"""Prints a recipe as the YAML that reads back to the same configs."""

import dataclasses
import re
import textwrap
from collections.abc import Iterator, Mapping

import yaml

from trainer.pipeline.field_docs import field_docs
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stages import kind_of

_WIDTH = 100
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
# Words that YAML 1.1 or 1.2 reads as something else than text.
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
# Lines without white space at their ends, nor empty ones at either end of the text: such a text
# survives being indented.
_LINES = re.compile(r"(?:\S|\S[^\n]*\S)(?:\n(?:[^\n]*\S)?)*(?<!\n)\n?")


def recipe_text(recipe: Recipe, extends: str, base: Recipe) -> str:
    """Every field of every config, with what its docstring says where it comes for the first time.

    Args:
        extends: the name or file that the YAML names as the one it extends.
        base: the recipe of that name.
    """
    described: set[tuple[type[object], str]] = set()
    lines = [f"extends: {_scalar(extends)}"]
    for stage, entry in recipe.stages.items():
        lines += ["", f"{_scalar(stage)}:"]
        if stage not in base.stages:
            lines.append(f"  kind: {kind_of(stage)}")
        lines += _fields(entry.config, "  ", described)
    # After the stages, because a stage must be there before it can be kept.
    if list(recipe.stages) != list(base.stages):
        lines += ["", f"stages: {_flow(list(recipe.stages))}"]
    return "\n".join(lines) + "\n"


def _fields(config: object, indent: str, described: set[tuple[type[object], str]]) -> Iterator[str]:
    assert dataclasses.is_dataclass(config)
    docs = field_docs(type(config))
    for each in dataclasses.fields(config):
        # A text may be about several fields; it stands before the first of them.
        text = docs.get(each.name, "").replace("None", "null")
        if text and (type(config), text) not in described:
            described.add((type(config), text))
            comment = textwrap.wrap(text, max(40, _WIDTH - len(indent) - 2))
            yield from (f"{indent}# {line}" for line in comment)
        yield from _field(each.name, getattr(config, each.name), indent, described)


def _field(
    name: str, value: object, indent: str, described: set[tuple[type[object], str]]
) -> Iterator[str]:
    if dataclasses.is_dataclass(value) and dataclasses.fields(value):
        yield f"{indent}{name}:"
        yield from _fields(value, f"{indent}  ", described)
    elif isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
        yield f"{indent}{name}:"
        for item in value:
            dashed = False
            for line in _fields(item, f"{indent}    ", described):
                # The dash comes with the first field, behind its comment.
                dash = not dashed and not line.lstrip().startswith("#")
                yield f"{indent}  - {line.lstrip()}" if dash else line
                dashed = dashed or dash
            if not dashed:
                yield f"{indent}  - {{}}"
    elif isinstance(value, str) and "\n" in value and _LINES.fullmatch(value) and _is_plain(value):
        # A template is read as it is laid out.
        yield f"{indent}{name}: |{'' if value.endswith(chr(10)) else '-'}"
        yield from (f"{indent}  {line}".rstrip() for line in value.splitlines())
    else:
        yield f"{indent}{name}: {_flow(value)}"


def _is_plain(text: str) -> bool:
    return all(character == "\n" or character.isprintable() for character in text)


def _flow(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_flow(key)}: {_flow(each)}' for key, each in value.items())}}}"
    if dataclasses.is_dataclass(value):
        return "{}"
    return _scalar(value)


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # Readers of YAML 1.1 take 1e-06 for text, but not 1.0e-06.
        text = repr(value) if "." in repr(value) else repr(value).replace("e", ".0e")
        return text.replace("inf", ".inf").replace("nan", ".nan")
    if isinstance(value, int):
        return str(value)
    assert isinstance(value, str)
    if _BARE.fullmatch(value) and value.lower() not in _WORDS:
        return value
    quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=2**31)
    return quoted.rstrip("\n")
