"""The README of a release: how it was trained, its limits, and its figures."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from reward_model.release.manifest import AdapterBase
from trainer.evaluation.measures.pairwise import ASPECT_TABLE
from trainer.evaluation.reporting.report import Report
from trainer.pairs.criteria import Criteria
from trainer.publishing.adapter import LowRankAdapter, ScoreDifference

Manifests = dict[str, dict[str, Any]]
"""Manifests of the checkpoint's stage and of all stages that led to it, by their names."""

CARD = """\
# {name} {version}

A reward model: it ranks candidate answers to one request. Made by `{command}`; `release.json` holds
the config, seed and data hashes of every stage, and the commit.

## How it was trained

{origin}

{training}
{data}
{criteria}
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
{rewards}"""

REWARDS = """
## Scores as rewards

{table}

AUC is the probability that a right answer scores above a wrong one: in one pool of all answers,
and within a prompt. A ranking needs no more than the second; a threshold, or a reward that is not
compared within its prompt, needs the first. `report.json` has all tables.
"""

CRITERIA = """
## Criteria

A request may name criteria. Each is a system prompt, which training put before the requests of its
rows and the service puts before those that are to be judged by it.

{table}
"""

# Rows of the report that say whether scores serve as rewards: a table's title, and its row.
REWARD_MEASURES = (
    ("AUC", "pooled answers"),
    ("AUC", "per prompt"),
    ("rank correlation with pass rate", "per prompt"),
    ("hits at K", "1"),
    ("hits at K", "5"),
    ("calibration error", "expected calibration error"),
    ("variance of scores", "share within prompts"),
)

MADE_FROM_SOURCE = "source code, and wrong answers made from it without a language model"

# Stages of pairs that the shipped recipes have. A recipe's own stages are named and not explained.
DATA = {
    "commits": "functions of a repository after a commit over themselves before it, with the "
    "commit's message as the request, and wrong answers made without a language model",
    "pairs": MADE_FROM_SOURCE,
    "hard_pairs": f"{MADE_FROM_SOURCE}; each differs in little from what is right",
    "llm_pairs": "answers of a stronger language model over those of a weaker one, to requests "
    "that a language model wrote for source code",
    "preferences": "preference data of other makers, named in `release.json`",
}


# Added for a release that is an adapter.
ADAPTER = """
## An adapter

The release holds an adapter of rank {rank} ({dtype}) on linear layers, and the score head whole. It
changes the model `{base}`, whose tensors have the digest `{digest}`.
Where to get it: {source}

On {texts} held-out answers its scores differ from those of the whole checkpoint by {mean:.4f}
standard deviations (root mean square; at most {largest:.4f}), and it orders {reordered} of {pairs}
pairs the other way. Golden scores are the adapter's own; calibration and figures above are the
checkpoint's.
"""


def adapter_section(config: LowRankAdapter, base: AdapterBase, difference: ScoreDifference) -> str:
    """Return the card's section of a release that is an adapter."""
    return ADAPTER.format(
        rank=config.rank,
        dtype=config.dtype,
        base=base.name,
        digest=base.weights_sha256,
        source=base.source,
        texts=2 * difference.pairs,
        **asdict(difference),
    )


def training_stages(stages: Manifests) -> Manifests:
    """The manifests of the stages that trained the checkpoint."""
    # No other stage has a `start`.
    return {stage: made for stage, made in stages.items() if "start" in made["config"]}


def first_start(stages: Manifests) -> str:
    """The model that the first training stage started from: a stage, a directory or a hub id."""
    trained = training_stages(stages)
    # They form a chain, which begins with a model made by a stage of this run or somebody else's.
    starts = [made["config"]["start"] for made in trained.values()]
    return next((start for start in starts if start not in trained), "")


def card(
    name: str,
    version: str,
    command: str,
    report: Report,
    stages: Manifests,
    criteria: Criteria = MappingProxyType({}),
) -> str:
    """Return Markdown from the report of the evaluate stage and the checkpoint's lineage."""
    trained = training_stages(stages)
    first = first_start(stages)
    if first in stages:
        origin = f"From scratch: it begins with `{first}`, a stage of the same run."
    else:
        # A local path may hold a user's name. Stages of earlier versions recorded no more than it.
        shown = Path(first).name if Path(first).is_absolute() else first
        recorded = [made["base"] for made in trained.values() if "base" in made]
        base: dict[str, str] = recorded[0] if recorded else {}
        origin = f"It begins with `{base.get('name') or shown}`"
        origin += f", license `{base['license']}`" if base.get("license") else ""
        origin += f", revision `{base['revision']}`" if base.get("revision") else ""
        origin += ". Its own card says what that was trained on."

    training = ["| stage | on | losses |", "|---|---|---|"]
    sources = list(stages.get(first, {}).get("inputs", {}))
    for stage, made in trained.items():
        # All that a training stage reads is pairs, except the model that it starts from.
        pairs = [source for source in made["inputs"] if source != made["config"]["start"]]
        sources += pairs
        losses = ", ".join(loss for loss, weight in made["config"]["weights"].items() if weight)
        training.append(f"| {stage} | {', '.join(f'`{each}`' for each in pairs)} | {losses} |")
    data = [f"- `{source}`: {DATA[source]}" for source in dict.fromkeys(sources) if source in DATA]

    headline = report.headline
    table = ["| rejected answer | pairs | model | 95 % interval | length only | random |"]
    table.append("|---|---|---|---|---|---|")
    for kind, row in headline.tables[0].rows.items():
        model = row["model"]
        table.append(
            f"| {kind} | {model.n} | {model.value:.3f} | {model.low:.3f} to {model.high:.3f} "
            f"| {row['length_only'].value:.3f} | {row['random'].value:.3f} |"
        )
    return CARD.format(
        name=name,
        version=version,
        command=command,
        origin=origin,
        training="\n".join(training),
        data="\n".join(["", *data]) if data else "",
        criteria=criteria_section(criteria, report, stages),
        table="\n".join(table),
        rewards=rewards_section(report),
        prompts=headline.questions,
        groups=len(headline.groups),
    )


def criteria_section(criteria: Criteria, report: Report, stages: Manifests) -> str:
    """The criteria by which the model judges, with their figures; empty where it has none."""
    if not criteria:
        return ""
    trained: Counter[str] = Counter()
    for made in stages.values():
        trained.update(made.get("rows_by_criterion", {}))
    measured = {
        name: row
        for table in report.headline.tables
        if table.title == ASPECT_TABLE
        for name, row in table.rows.items()
    }
    lines = ["| criterion | weight | rows trained on | pairs | model | strict | prompt |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, criterion in criteria.items():
        figures = "| | |"
        if row := measured.get(name):
            figures = f"{row['model'].n} | {row['model'].value:.3f} | {row['strict'].value:.3f} |"
        prompt = " ".join(criterion.prompt.split()).replace("|", "\\|")
        weight = f"{criterion.weight:g}{', by default' if criterion.by_default else ''}"
        lines.append(f"| {name} | {weight} | {trained[name]} | {figures} {prompt} |")
    return CRITERIA.format(table="\n".join(lines))


def rewards_section(report: Report) -> str:
    """Figures of all tasks that say whether scores serve as rewards; empty where there are none."""
    lines = []
    for task in report.tasks:
        tables = {found.title: found.rows for found in task.tables}
        for title, part in REWARD_MEASURES:
            if not (row := tables.get(title, {}).get(part)):
                continue
            model = row["model"]
            # Not every measure has these baselines: calibration, for one, has others.
            beside = [
                f"{row[name].value:.3f}" if name in row else "-"
                for name in ("length_only", "random")
            ]
            # The name comes from a recipe, and may hold a column's end.
            named = task.name.replace("|", "\\|")
            measure = part if title == "calibration error" else f"{title}, {part}"
            lines.append(
                f"| {named} | {measure} | {model.n} | {model.value:.3f} "
                f"| {model.low:.3f} to {model.high:.3f} | {' | '.join(beside)} |"
            )
    if not lines:
        return ""
    head = ["| task | measure | n | model | 95 % interval | length only | random |"]
    return REWARDS.format(table="\n".join([*head, "|---|---|---|---|---|---|---|", *lines]))
