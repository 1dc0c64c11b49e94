"""A report on policies as it is kept in `report.json`."""

import json
from dataclasses import KW_ONLY, asdict, dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from trainer.evaluation.measures.table import Table
from trainer.pipeline.stage import StageError
from trainer.policy.comparison import ArmComparison

FILE = "report.json"

SolutionKind = Literal["programs", "answers"]
"""Programs are graded by execution, answers by what they end in."""


@dataclass(frozen=True)
class Section:
    """Problems of one kind.

    Attributes:
        kind: `programs` are graded by execution, `answers` by their final answer.
        problems: number of problems that all policies have enough samples of.
        samples: for each policy, the number of its samples of these problems.
        cut: for each policy, the share of those that ended at the limit of tokens.
        ranking: how well the reward model tells right samples from wrong ones.
        left_out: problems and samples that do not count, by reason.
    """

    kind: SolutionKind
    problems: int
    samples: dict[str, int]
    cut: dict[str, float]
    comparisons: list[ArmComparison]
    ranking: list[Table] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def comparison(self, title: str) -> ArmComparison:
        return next(each for each in self.comparisons if each.title == title)


@dataclass(frozen=True)
class PolicyReport:
    """All figures of one report.

    Attributes:
        arms: names of the policies, the start first.
        scorer: name of the reward model that chose; empty without one.
        notes: facts that a reader must know before comparing figures.
        left_out: for each policy, its samples that do not count, by reason.
        version: of the file's format; no other one is read.
    """

    arms: list[str]
    scorer: str
    sections: list[Section]
    notes: list[str]
    left_out: dict[str, dict[str, int]]
    _: KW_ONLY
    version: Literal[1] = 1


def write(report: PolicyReport, folder: Path) -> None:
    """Write `report.json`; NaN is refused, because JSON has none."""
    text = json.dumps(asdict(report), indent=1, allow_nan=False)
    (folder / FILE).write_text(text + "\n")


def read(folder: Path) -> PolicyReport:
    """The report that `run` wrote.

    Raises:
        StageError: it has another format.
    """
    try:
        return TypeAdapter(PolicyReport).validate_json((folder / FILE).read_bytes())
    except ValidationError as error:
        raise StageError(
            f"{folder / FILE} is not a policy's report of this format: run its stage again"
        ) from error
