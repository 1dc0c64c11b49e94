"""The README of a release: how it was trained, what it is not, and its figures."""

from pathlib import Path
from typing import Any

from trainer.evaluation.evaluate import Report

Manifests = dict[str, dict[str, Any]]
"""Of the checkpoint's stage and all that led to it, by their names."""

_CARD = """\
# {name} {version}

A reward model: it ranks candidate answers to one request. Made by `{command}`; `release.json` holds
the config, seed and data hashes of every stage, and the commit.

## How it was trained

{origin}

{training}
{data}

## What it is not

- It has learnt from nothing but what is named above: on other languages, subjects and kinds of
  mistake, and on much longer answers, its scores say little.
- It runs and checks nothing: fluent answers that are wrong escape it, and now and then it errs
  where any reader would not.
- Its figures are of data like its own. Measure it on yours before a policy is trained against it.

## Pairwise accuracy on what no stage has trained on

{table}

Ties count half. Intervals are 95 %, by bootstrap over groups: packages, repositories or problems.
{prompts} prompts of {groups} groups. The same code with other seeds or data lands near these
figures, not on them.

![accuracy](accuracy.svg)
"""

_FIGURES = """\
| rejected answer | pairs | model | 95 % interval | length only | random |
|---|---|---|---|---|---|"""

_TRAINING = """\
| stage | on | losses |
|---|---|---|"""

_MADE_FROM_SOURCE = "source code, and wrong answers made from it without a language model"

_DATA = {
    "pairs": _MADE_FROM_SOURCE,
    "hard_pairs": f"{_MADE_FROM_SOURCE}; each differs in little from what is right",
    "llm_pairs": "answers of a stronger language model over those of a weaker one, to requests "
    "that a language model wrote for source code",
    "preferences": "preference data of other makers, named in `release.json`",
}
"""What stages of pairs hold. Those of a recipe's own making are named and no more."""


def card(name: str, version: str, command: str, report: Report, stages: Manifests) -> str:
    """Markdown from the `report.json` of the evaluate stage and the checkpoint's lineage."""
    trained = {stage: made for stage, made in stages.items() if "start" in made["config"]}
    starts = [made["config"]["start"] for made in trained.values()]
    first = next((start for start in starts if start not in trained), "")
    return _CARD.format(
        name=name,
        version=version,
        command=command,
        origin=_origin(first, stages),
        training="\n".join([_TRAINING, *(_row(stage, made) for stage, made in trained.items())]),
        data=_data([*stages.get(first, {}).get("inputs", {}), *_read_by(trained)]),
        table=_table(report),
        prompts=report.prompts,
        groups=len(report.packages),
    )


def _origin(first: str, stages: Manifests) -> str:
    """Stages that train form a chain: it begins with a model made here, or somebody else's."""
    if first in stages:
        return f"From scratch: it begins with `{first}`, a stage of the same run."
    shown = Path(first).name if Path(first).is_absolute() else first
    return f"It begins with `{shown}`, and what that was trained on is not known here."


def _row(stage: str, made: dict[str, Any]) -> str:
    losses = ", ".join(loss for loss, weight in made["config"]["weights"].items() if weight)
    data = ", ".join(f"`{name}`" for name in _read_by({stage: made}))
    return f"| {stage} | {data} | {losses} |"


def _read_by(trained: Manifests) -> list[str]:
    """Stages of pairs: all that a stage which trains reads, but the one it begins with."""
    return [
        name
        for made in trained.values()
        for name in made["inputs"]
        if name != made["config"]["start"]
    ]


def _data(names: list[str]) -> str:
    """A line for each stage of pairs that it has learnt from."""
    lines = [f"- `{name}`: {_DATA[name]}" for name in dict.fromkeys(names) if name in _DATA]
    return "\n".join(["", *lines]) if lines else ""


def _table(report: Report) -> str:
    rows = [
        f"| {kind} | {model.pairs} | {model.accuracy:.3f} | {model.low:.3f} to {model.high:.3f} "
        f"| {report.length_only[kind].accuracy:.3f} | {report.random[kind].accuracy:.3f} |"
        for kind, model in report.model.items()
    ]
    return "\n".join([_FIGURES, *rows])
