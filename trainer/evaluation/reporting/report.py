"""`report.json`: what was measured, on what, beside what. Older versions are read as well."""

import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from pydantic import TypeAdapter

from trainer.evaluation.measures.estimate import Estimate
from trainer.pipeline.stage import StageError

VERSION = 2

FILE = "report.json"

Row = dict[str, Estimate]
"""By contender, the model first: a figure never stands without what it must beat."""

Plot = Literal["none", "bars", "curve", "reliability"]


@dataclass(frozen=True)
class Table:
    """One measure.

    Attributes:
        what: how a figure came about, in a sentence.
        rows: the parts of the data, or the settings, that are told apart.
        plot: how its picture is drawn.
    """

    title: str
    what: str
    rows: dict[str, Row]
    plot: Plot = "none"

    def measured(self) -> Self:
        """Without rows that have no model's figure, for want of anything to count."""
        rows = {name: row for name, row in self.rows.items() if math.isfinite(row["model"].value)}
        return replace(self, rows=rows)


@dataclass(frozen=True)
class TaskReport:
    """One task's tables.

    Attributes:
        groups: units that were resampled: packages, problems, passages.
        left_out: what was not measured, by reason.
    """

    name: str
    kind: str
    what: str
    questions: int
    groups: list[str]
    tables: list[Table]
    left_out: dict[str, int] = field(default_factory=dict)

    def table(self, title: str) -> Table:
        return next(table for table in self.tables if table.title == title)


@dataclass(frozen=True)
class Accuracy:
    """Share of pairs ranked right, ties half, with a bootstrap interval over groups."""

    accuracy: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True)
class Report:
    """All tasks of one evaluation.

    Attributes:
        checkpoint: the stage or directory that was evaluated.
        scorer: name of what scored: a checkpoint's, or a served model's with its version.
        notes: what a reader must know before comparing figures.
    """

    version: int
    checkpoint: str
    scorer: str
    tasks: list[TaskReport]
    notes: list[str] = field(default_factory=list)

    @property
    def headline(self) -> TaskReport:
        """The first task on pairs: what a release's card shows.

        Raises:
            StageError: there is none.
        """
        for task in self.tasks:
            if task.kind == "pairs":
                return task
        raise StageError("the report has no task on pairs: a release shows how one came out")

    @property
    def packages(self) -> list[str]:
        return self.headline.groups

    @property
    def prompts(self) -> int:
        return self.headline.questions

    @property
    def model(self) -> dict[str, Accuracy]:
        return self._accuracies("model")

    @property
    def length_only(self) -> dict[str, Accuracy]:
        return self._accuracies("length_only")

    @property
    def random(self) -> dict[str, Accuracy]:
        return self._accuracies("random")

    def _accuracies(self, contender: str) -> dict[str, Accuracy]:
        rows = self.headline.tables[0].rows
        figures = {name: row[contender] for name, row in rows.items()}
        return {name: Accuracy(f.value, f.low, f.high, f.n) for name, f in figures.items()}


def write(report: Report, folder: Path) -> None:
    text = json.dumps(asdict(report), indent=1, allow_nan=False)
    (folder / FILE).write_text(text + "\n")


def read(folder: Path) -> Report:
    """The `report.json` of a stage or a release, of any version."""
    text = (folder / FILE).read_bytes()
    if "version" in json.loads(text):
        return TypeAdapter(Report).validate_json(text)
    return TypeAdapter(_First).validate_json(text).upgraded()


@dataclass(frozen=True)
class _First:
    """Version 1, which had no number: accuracies by kind of rejected answer."""

    what: str
    packages: list[str]
    prompts: int
    model: dict[str, Accuracy]
    length_only: dict[str, Accuracy]
    random: dict[str, Accuracy]

    def upgraded(self) -> Report:
        contenders = {
            "model": self.model,
            "length_only": self.length_only,
            "random": self.random,
        }
        rows = {
            kind: {name: _estimate(of[kind]) for name, of in contenders.items()}
            for kind in self.model
        }
        table = Table("pairwise accuracy by kind of wrong answer", self.what, rows, plot="bars")
        task = TaskReport("pairs", "pairs", self.what, self.prompts, self.packages, [table])
        return Report(1, "", "", [task])


def _estimate(accuracy: Accuracy) -> Estimate:
    return Estimate(accuracy.accuracy, accuracy.low, accuracy.high, accuracy.pairs)
