"""The README of a release: what it is, what it is not, and its figures."""

from trainer.evaluation.evaluate import Report

_CARD = """# {name} {version}

A small reward model that ranks Python functions against a one-sentence description. It was trained
from scratch by this repository's own trainer, on functions of permissively licensed packages and on
wrong answers made from them without a language model. Made by `{command}`; `release.json` holds the
config, seed and data hashes of every stage, and the commit.

## What it is not

- It has not read natural language beyond docstrings, and no language but English and Python.
- It does not run code and proves nothing: a wrong operator in fluent code often escapes it, and
  now and then it errs on an answer that any programmer would judge at a glance.
- It was trained on functions of up to some 300 tokens; longer ones are outside what it has seen.
- It is an honest default to try the service with, not a model to train a policy against.

## Pairwise accuracy on packages it has never seen

{table}

Ties count half. Intervals are 95 %, by bootstrap over packages. {prompts} prompts of {packages}
packages, where each top-level module of the standard library counts as one. The same code with
other seeds or data lands near these figures, not on them.

![accuracy](accuracy.svg)
"""

_HEAD = """\
| rejected answer | pairs | model | 95 % interval | length only | random |
|---|---|---|---|---|---|"""


def card(name: str, version: str, command: str, report: Report) -> str:
    """Markdown from the `report.json` of the evaluate stage."""
    return _CARD.format(
        name=name,
        version=version,
        command=command,
        table=_table(report),
        prompts=report.prompts,
        packages=len(report.packages),
    )


def _table(report: Report) -> str:
    rows = [
        f"| {kind} | {model.pairs} | {model.accuracy:.3f} | {model.low:.3f} to {model.high:.3f} "
        f"| {report.length_only[kind].accuracy:.3f} | {report.random[kind].accuracy:.3f} |"
        for kind, model in report.model.items()
    ]
    return "\n".join([_HEAD, *rows])
