"""Reports with one table of pairs."""

from trainer.evaluation.measures.estimate import Estimate
from trainer.evaluation.measures.table import Table
from trainer.evaluation.reporting.report import Report, TaskReport


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1, 10)


def table(title: str, rows: tuple[str, ...], **contenders: float) -> Table:
    row = {name: estimate(value) for name, value in contenders.items()}
    return Table(title, "share of <pairs>", dict.fromkeys(rows, row))


KINDS = table("by kind", ("overall", "mutant"), model=0.8, length_only=0.6, random=0.5)


def report(*tables: Table) -> Report:
    task = TaskReport("pairs & more", "pairs", "pairs", 7, ["a", "b"], [*tables], {"too long": 3})
    return Report("finetune", "model 1", [task], ["a note with <b>"])
