"""The evaluation's result, `report.json`: figures by task, each beside its baselines."""

import json
from dataclasses import KW_ONLY, asdict, dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from trainer.evaluation.measures.table import Table
from trainer.pipeline.stage import StageError

FILE = "report.json"


@dataclass(frozen=True)
class TaskReport:
    """One task's tables.

    Attributes:
        groups: units that were resampled: packages, problems, passages.
        left_out: how much was not measured, by reason.
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
class Report:
    """All tasks of one evaluation.

    Attributes:
        checkpoint: the stage or directory that was evaluated.
        scorer: name of the scorer: a checkpoint's, or a served model's with its version.
        notes: facts that a reader must know before comparing figures.
        criteria: by its name, the prompt of each criterion that questions were scored by.
        version: of the file's format; no other one is read.
    """

    checkpoint: str
    scorer: str
    tasks: list[TaskReport]
    notes: list[str] = field(default_factory=list)
    criteria: dict[str, str] = field(default_factory=dict)
    _: KW_ONLY
    version: Literal[2] = 2

    @property
    def headline(self) -> TaskReport:
        """The first task on pairs, which a release's card shows.

        Raises:
            StageError: there is none.
        """
        for task in self.tasks:
            if task.kind == "pairs":
                return task
        raise StageError(
            "the report has no task on pairs, which a release's card shows: add a PairsTask"
        )


def write(report: Report, folder: Path) -> None:
    """Write `report.json`; NaN is refused, because JSON has none."""
    # The figures' own digits, so that what is read equals what was written.
    text = json.dumps(asdict(report), indent=1, allow_nan=False)
    (folder / FILE).write_text(text + "\n")


def read(folder: Path) -> Report:
    """Read the `report.json` of a stage or a release.

    Raises:
        StageError: it has another format.
    """
    try:
        return TypeAdapter(Report).validate_json((folder / FILE).read_bytes())
    except ValidationError as error:
        raise StageError(
            f"{folder / FILE} is not a report of this format: run `evaluate` again"
        ) from error
