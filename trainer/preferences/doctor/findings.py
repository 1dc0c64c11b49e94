"""The doctor's findings, and which of them forbid training."""

from dataclasses import asdict, dataclass
from typing import Literal

from trainer.pipeline.stage import StageError

Severity = Literal["fatal", "warning", "fine"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        message: the finding and, unless it is fine, what to do. It never quotes a text.
        count: number of rows, pairs or texts concerned.
        first: id of the first of them.
    """

    check: str
    severity: Severity
    message: str
    count: int = 0
    first: str = ""

    def __str__(self) -> str:
        return f"{self.message} (first: {self.first})" if self.first else self.message


@dataclass(frozen=True)
class Findings:
    """The outcomes of all checks.

    Attributes:
        lengths: tokens of whole conversations: how they are spread, and the model's limit.
    """

    checks: tuple[Finding, ...]
    lengths: dict[str, int]

    def refuse(self) -> None:
        """Raise StageError where training would be worthless or its figures wrong."""
        fatal = [found for found in self.checks if found.severity == "fatal"]
        if fatal:
            raise StageError("; ".join(f"{found.check}: {found}" for found in fatal))

    def facts(self) -> dict[str, object]:
        """The findings as they go into a stage's manifest."""
        return asdict(self)


def report(findings: Findings) -> str:
    """A table for people; the most severe findings come first."""
    order: tuple[Severity, ...] = ("fatal", "warning", "fine")
    checks = sorted(findings.checks, key=lambda found: order.index(found.severity))
    width = max(len(found.check) for found in checks)
    lines = [f"{found.severity:7}  {found.check:{width}}  {found}" for found in checks]
    lengths = ", ".join(f"{name} {tokens}" for name, tokens in findings.lengths.items())
    return "\n".join([*lines, f"{'':7}  {'tokens':{width}}  {lengths}"])
