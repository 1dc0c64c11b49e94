"""What the doctor found, and what of it forbids training."""

from dataclasses import asdict, dataclass
from typing import Literal

from trainer.pipeline.stage import StageError

Severity = Literal["fatal", "warning", "fine"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        message: what was found, and unless it is fine what to do. Never quotes a text.
        count: rows, pairs or texts concerned.
        first: id of the first of them.
    """

    check: str
    severity: Severity
    message: str
    count: int = 0
    first: str = ""


@dataclass(frozen=True)
class Findings:
    """Outcomes of all checks.

    Attributes:
        lengths: tokens of whole conversations: how they are spread, and the model's limit.
    """

    checks: tuple[Finding, ...]
    lengths: dict[str, int]

    def refuse(self) -> None:
        """Raises StageError where training would be worthless or its figures wrong."""
        fatal = [found for found in self.checks if found.severity == "fatal"]
        if fatal:
            raise StageError("; ".join(f"{found.check}: {_told(found)}" for found in fatal))

    def facts(self) -> dict[str, object]:
        """For the manifest."""
        return asdict(self)


def report(findings: Findings) -> str:
    """A table for people: what is fatal first."""
    order: tuple[Severity, ...] = ("fatal", "warning", "fine")
    checks = sorted(findings.checks, key=lambda found: order.index(found.severity))
    width = max(len(found.check) for found in checks)
    lines = [f"{found.severity:7}  {found.check:{width}}  {_told(found)}" for found in checks]
    lengths = ", ".join(f"{name} {tokens}" for name, tokens in findings.lengths.items())
    return "\n".join([*lines, f"{'':7}  {'tokens':{width}}  {lengths}"])


def _told(found: Finding) -> str:
    return f"{found.message} (first: {found.first})" if found.first else found.message
